package import EnsignModel

/// Which granted operation a tool's name means: what telemetry, a model or a framework wrote (docs/telemetry.md, "Names of
/// tools").
///
/// Runtimes, frameworks and servers spell one operation in many ways: as a model calls it (``ModelName``), as
/// `tool.operation`, `tool/operation`, `tool_operation` or `mcp__tool__operation`, or with the operation's name alone, its
/// own or the server's; with `_` or `.` for `-`, in capitals, in camel case. A spelling counts as a granted operation when
/// it can mean no other one. Only this type decides that; the clients decide the same (`Tests/Vectors/tool-names.json`).
package struct ToolNames: Sendable {
    /// An operation by its names in the manifests.
    package struct Operation: Sendable, Hashable, Comparable, CustomStringConvertible {
        package let tool: String
        package let name: String

        package init(tool: String, name: String) {
            self.tool = tool
            self.name = name
        }

        package var description: String { "\(tool).\(name)" }

        package static func < (left: Self, right: Self) -> Bool { (left.tool, left.name) < (right.tool, right.name) }
    }

    /// What a name means.
    package enum Resolution: Sendable, Hashable {
        case operation(Operation)
        /// Several granted operations, sorted: nothing says which one.
        case ambiguous([Operation])
        case nothing
    }

    /// The longest name considered, in bytes; a longer one means nothing.
    package static let longest = 256

    /// What is granted or declared, sorted.
    package let operations: [Operation]
    private let tools: Set<ExactText>
    // Servers' names are any text: what only looks the same is another tool.
    /// Operations by the name that a model calls them by.
    private var byModelName: [ExactText: [Int]] = [:]
    /// By their own name and by the server's.
    private var byWriting: [ExactText: [Int]] = [:]
    /// By the words of these.
    private var byWords: [ExactText: [Int]] = [:]
    /// By the words of the name that a model calls them by, as frameworks fold it.
    private var modelNameWords: [ExactText: [Int]] = [:]

    package init(_ bundle: Bundle) {
        var granted: [Operation: Set<String>] = [:]
        for tool in bundle.tools {
            for (name, operation) in tool.operations {
                granted[Operation(tool: tool.tool, name: name)] = operation.serverTool.map { [$0] } ?? []
            }
        }
        self.init(granted)
    }

    /// - Parameter known: Operations with the names that their servers have for them, where these are others.
    package init(_ known: [Operation: Set<String>]) {
        operations = known.keys.sorted()
        tools = Set(operations.map { ExactText($0.tool) })
        for (index, operation) in operations.enumerated() {
            let modelName = ModelName.name(operation.tool, operation.name)
            byModelName[ExactText(modelName), default: []].append(index)
            let names = Set((known[operation] ?? []).map(ExactText.init)).union([ExactText(operation.name)])
            for name in names { byWriting[name, default: []].append(index) }
            for words in Set(names.flatMap { Self.foldings($0.text) }) { byWords[words, default: []].append(index) }
            for words in Set(Self.spellings(modelName).map { ExactText(Self.joined($0)) }) {
                modelNameWords[words, default: []].append(index)
            }
        }
    }

    /// How many operations there are.
    package var count: Int { operations.count }

    /// Which one operation a name means, by what is granted alone.
    package func resolve(_ name: String) -> Resolution { resolution(of: name) { _ in [] } }

    /// What a name means in telemetry.
    package struct Meaning: Sendable, Hashable {
        /// `<tool>.<operation>` for the one operation that it names; the words of the name where it names several that are
        /// granted, or a tool alone.
        package var text: String
        /// All that it can mean, `<tool>.<operation>`, sorted.
        package var operations: [String]

        init(_ text: String, _ operations: [Operation]) {
            self.text = text
            self.operations = operations.map(\.description)
        }
    }

    /// What a name means in telemetry.
    ///
    /// - Parameter declared: The operations that a tool of that name declares in the fleet, granted or not, by all of
    ///   their names; empty without such a tool. A spelling that could equally mean one that is not granted means nothing.
    /// - Returns: Nil when it names nothing that is granted.
    package func reading(of name: String, declared: (_ tool: String) -> Set<String> = { _ in [] }) -> Meaning? {
        switch resolution(of: name, declared) {
        case .operation(let operation): return Meaning(operation.description, [operation])
        case .ambiguous(let several): return Meaning(Self.spellings(name)[0], several)
        case .nothing: break
        }
        guard name.utf8.count <= Self.longest else { return nil }
        let tool = Self.spellings(name).first { words in
            isTool(words) && (words.hasSameUTF8(as: name) || !isAlsoRefused(words, declared))
        }
        return tool.map { tool in Meaning(tool, operations.filter { $0.tool == tool }) }
    }

    /// The text of ``reading(of:declared:)``.
    package func meaning(of name: String, declared: (_ tool: String) -> Set<String> = { _ in [] }) -> String? {
        reading(of: name, declared: declared)?.text
    }

    private func resolution(of name: String, _ declared: (String) -> Set<String>) -> Resolution {
        guard !name.isEmpty, name.utf8.count <= Self.longest else { return .nothing }
        // A model's name is certain: no other operation has it, whatever else is granted.
        if let found = byModelName[ExactText(name)] { return resolution(Set(found)) }
        if let found = reading(name, isWhole: true, declared) { return resolution(found) }
        guard let rest = Self.withoutProtocol(name) else { return .nothing }
        return resolution(reading(rest, isWhole: false, declared) ?? [])
    }

    private func resolution(_ found: Set<Int>) -> Resolution {
        guard let first = found.first else { return .nothing }
        return found.count == 1 ? .operation(operations[first]) : .ambiguous(found.sorted().map { operations[$0] })
    }

    // MARK: Reading

    /// What a name can mean: as it is written, else by its words. Empty when it names what is not granted, nil when it
    /// names nothing known.
    ///
    /// - Parameter isWhole: False for the rest of a name after a protocol's prefix: then comes a server's name, and an
    ///   operation alone could belong to any server.
    private func reading(_ name: String, isWhole: Bool, _ declared: (String) -> Set<String>) -> Set<Int>? {
        if let found = asWritten(name, isWhole, declared) { return found }
        for separator in ["__", ".", "/"] {
            guard let (before, behind) = name.split(onceAt: separator) else { continue }
            let named = Self.spellings(before)
            let found = Set(named.flatMap { tool in Self.spellings(behind).flatMap { spelled(tool, $0) } })
            if !found.isEmpty { return found }
            // It says whose operation it is, and that tool grants none of this name.
            if named.contains(where: isTool) { return [] }
            // A server's own tool name may contain a point: `get.payment`.
            if separator == ".", named.contains(where: { !declared($0).isEmpty }) { return isWhole ? nil : [] }
        }
        let spellings = Self.spellings(name)
        var found: Set<Int> = []
        for words in spellings where !isAlsoRefused(words, declared) {
            if isWhole { found.formUnion(byWords[ExactText(words)] ?? []) }
            found.formUnion(modelNameWords[ExactText(words)] ?? [])
            for (tool, operation) in Self.splits(words) { found.formUnion(spelled(tool, operation)) }
        }
        return found.isEmpty ? nil : found
    }

    /// A tool and an operation as the manifests or the server write them, with any separator between; or the operation
    /// alone.
    private func asWritten(_ name: String, _ isWhole: Bool, _ declared: (String) -> Set<String>) -> Set<Int>? {
        for separator in ["__", ".", "/"] {
            guard let (tool, operation) = name.split(onceAt: separator) else { continue }
            if written(tool, operation).isEmpty, declares(operation, declared(tool)) { return [] }
        }
        let alone = isWhole ? Set(byWriting[ExactText(name)] ?? []) : []
        var found = alone
        for (tool, operation) in Self.joints(name) { found.formUnion(written(tool, operation)) }
        guard !found.isEmpty else { return nil }
        let isExplicit = ["__", ".", "/"].contains { separator in
            name.split(onceAt: separator).map { !written($0.0, $0.1).isEmpty } ?? false
        }
        // Where a tool ends is only certain before a separator of its own. Otherwise a framework may have made the same of
        // another operation's name.
        guard !isExplicit else { return found }
        let spellings = Self.spellings(name)
        if alone.isEmpty, spellings.contains(where: { isAlsoRefused($0, declared) }) { return [] }
        return found.union(modelNameWords[ExactText(spellings[0])] ?? [])
    }

    private func isTool(_ name: String) -> Bool { tools.contains(ExactText(name)) }

    private func declares(_ operation: String, _ names: Set<String>) -> Bool {
        // Of a set of texts only those that look the same are asked whether they are.
        names.contains(operation) && names.contains { $0.hasSameUTF8(as: operation) }
    }

    private func written(_ tool: String, _ operation: String) -> [Int] {
        isTool(tool) ? (byWriting[ExactText(operation)] ?? []).filter { operations[$0].tool == tool } : []
    }

    private func spelled(_ tool: String, _ operation: String) -> [Int] {
        isTool(tool) ? (byWords[ExactText(operation)] ?? []).filter { operations[$0].tool == tool } : []
    }

    /// Whether the words name an existing tool and operation that is not granted.
    private func isAlsoRefused(_ words: String, _ declared: (String) -> Set<String>) -> Bool {
        Self.splits(words).contains { tool, operation in
            spelled(tool, operation).isEmpty
                && declared(tool).contains { Self.foldings($0).contains(ExactText(operation)) }
        }
    }

    // MARK: Spelling

    /// A name's words: small letters, and `-` for each `_` and `.`. If it has capitals inside words, also with `-` before
    /// them.
    static func spellings(_ name: String) -> [String] {
        let plain = String(decoding: name.utf8.map(folded), as: UTF8.self)
        let apart = String(decoding: wordsApart(Array(name.utf8)).map(folded), as: UTF8.self)
        return plain == apart ? [plain] : [plain, apart]
    }

    /// The words of a granted name; also as frameworks fold them, with one `-` for several and none at the ends.
    private static func foldings(_ name: String) -> Set<ExactText> {
        let spellings = spellings(name)
        return Set((spellings + spellings.map(joined).filter { !$0.isEmpty }).map(ExactText.init))
    }

    private static func joined(_ words: String) -> String {
        words.split { $0 == "-" || $0 == "/" }.joined(separator: "-")
    }

    private static func folded(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "_"), UInt8(ascii: "."): UInt8(ascii: "-")
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        default: byte
        }
    }

    /// `getPayment` and `GETPayment` with `-` between their words.
    private static func wordsApart(_ bytes: [UInt8]) -> [UInt8] {
        func isCapital(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }
        func isSmall(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        var result: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if index > 0, isCapital(byte) {
                let isBeforeSmall = index + 1 < bytes.count && isSmall(bytes[index + 1])
                if isSmall(bytes[index - 1]) || isCapital(bytes[index - 1]) && isBeforeSmall {
                    result.append(UInt8(ascii: "-"))
                }
            }
            result.append(byte)
        }
        return result
    }

    /// The rest after the prefix that some runtimes put before the names of a protocol's tools.
    private static func withoutProtocol(_ name: String) -> String? {
        for prefix in ["mcp__", "mcp_", "mcp.", "mcp/", "mcp-"] where name.lowercased().hasPrefix(prefix) {
            let rest = String(decoding: name.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
            return rest.isEmpty ? nil : rest
        }
        return nil
    }

    /// Everything that may be a tool and its operation as they are written, with one separator between, or two `_`.
    private static func joints(_ name: String) -> [(tool: String, operation: String)] {
        let bytes = Array(name.utf8)
        var found: [(String, String)] = []
        for (index, byte) in bytes.enumerated() where index > 0 && index + 1 < bytes.count {
            guard [UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "-")].contains(byte) else {
                continue
            }
            let tool = String(decoding: bytes[..<index], as: UTF8.self)
            guard Name.isValid(tool) else { continue }
            found.append((tool, String(decoding: bytes[(index + 1)...], as: UTF8.self)))
            if byte == UInt8(ascii: "_"), bytes[index + 1] == byte, index + 2 < bytes.count {
                found.append((tool, String(decoding: bytes[(index + 2)...], as: UTF8.self)))
            }
        }
        return found
    }

    /// Everything that may be a tool and its operation, cut at one `-`.
    private static func splits(_ words: String) -> [(tool: String, operation: String)] {
        let bytes = Array(words.utf8)
        return bytes.indices.compactMap { index in
            guard bytes[index] == UInt8(ascii: "-"), index > 0, index + 1 < bytes.count else { return nil }
            let tool = String(decoding: bytes[..<index], as: UTF8.self)
            return Name.isValid(tool) ? (tool, String(decoding: bytes[(index + 1)...], as: UTF8.self)) : nil
        }
    }

    // MARK: Names of one call

    /// Whether two names have the same words.
    package static func areSame(_ one: String, _ other: String) -> Bool {
        one.hasSameUTF8(as: other) && !one.isEmpty
            || !Set(words(one).map(ExactText.init)).isDisjoint(with: words(other).map(ExactText.init))
    }

    /// Whether a name is another one, or its end, as `lookup` is of `payments.lookup`.
    package static func isEnd(_ name: String, of whole: String) -> Bool {
        let wholes = words(whole)
        return words(name).contains { end in
            wholes.contains {
                $0.hasSameUTF8(as: end) || $0.utf8.suffix(end.utf8.count + 1).elementsEqual("-\(end)".utf8)
            }
        }
    }

    /// Whether two names may belong to one call: they have the same words, or one is the end of the other.
    package static func mayBeSame(_ one: String, _ other: String) -> Bool {
        isEnd(one, of: other) || isEnd(other, of: one)
    }

    /// A name's words with one `-` between each two; empty if it has none.
    private static func words(_ name: String) -> [String] { spellings(name).map(joined).filter { !$0.isEmpty } }
}

extension String {
    /// The parts before and after the first separator.
    fileprivate func split(onceAt separator: String) -> (String, String)? {
        let text = Array(utf8)
        let separator = Array(separator.utf8)
        guard text.count >= separator.count else { return nil }
        for start in 0...(text.count - separator.count)
        where text[start..<(start + separator.count)].elementsEqual(separator) {
            return (
                String(decoding: text[..<start], as: UTF8.self),
                String(decoding: text[(start + separator.count)...], as: UTF8.self)
            )
        }
        return nil
    }
}
