package import EnsignModel

/// Which granted operation telemetry means by a tool's name (docs/telemetry.md, "Names of tools").
///
/// Runtimes, frameworks and servers spell one operation in many ways: `<tool>__<operation>` as the client library does,
/// `tool.operation`, `tool/operation`, `tool_operation`, `mcp__tool__operation`, or one of the two alone; with `_` or `.`
/// where the manifest has `-`, in capitals, in camel case. A spelling counts as a granted operation when it can mean no
/// other one. Only this type decides that.
package struct ToolNames: Sendable {
    /// Granted operations by tool.
    private let granted: [String: Set<String>]

    /// The longest name considered, in bytes; a longer one means nothing.
    package static let longest = 256

    package init(_ bundle: Bundle) {
        var granted: [String: Set<String>] = [:]
        for tool in bundle.tools where !tool.operations.isEmpty {
            granted[tool.tool, default: []].formUnion(tool.operations.keys)
        }
        self.granted = granted
    }

    /// - Parameter declared: Operations by tool, whoever may call them.
    package init(declared: [String: Set<String>]) { granted = declared.filter { !$0.value.isEmpty } }

    /// How many operations there are.
    package var count: Int { granted.values.reduce(0) { $0 + $1.count } }

    /// What a name means.
    ///
    /// - Parameter declared: The operations that a tool of that name declares in the fleet, granted or not; empty
    ///   without such a tool. A spelling that could equally mean one that is not granted means nothing.
    /// - Returns: `<tool>.<operation>` for the one operation that it names; the tool or the operation alone where it
    ///   names several that are granted. Nil when it names none.
    package func meaning(of name: String, declared: (_ tool: String) -> Set<String> = { _ in [] }) -> String? {
        guard !name.isEmpty, name.utf8.count <= Self.longest else { return nil }
        switch qualified(name, declared) {
        case .granted(let meaning): return meaning
        case .refused: return nil
        case .open: break
        }
        if let rest = Self.withoutProtocol(name) {
            if case .granted(let meaning) = qualified(rest, declared) { return meaning }
            // After `mcp_` comes a server's name: an operation alone could belong to any server.
            for words in Self.spellings(rest) {
                if let meaning = joined(words, declared) { return meaning }
            }
        }
        for words in Self.spellings(name) {
            if let meaning = alone(words), words == name || !isAlsoRefused(words, declared) { return meaning }
            if let meaning = joined(words, declared) { return meaning }
        }
        return nil
    }

    private enum Reading {
        case granted(String)
        /// It names a tool, but no granted operation of it.
        case refused
        /// It does not certainly name a tool.
        case open
    }

    /// Reads `tool__operation`, `tool.operation` and `tool/operation`: the name before the first of these is the
    /// operation's tool.
    private func qualified(_ name: String, _ declared: (String) -> Set<String>) -> Reading {
        for separator in ["__", ".", "/"] {
            guard let (before, behind) = name.split(onceAt: separator) else { continue }
            let tools = Self.spellings(before)
            if let tool = tools.first(where: { granted[$0] != nil }) {
                let operation = Self.spellings(behind).first { granted[tool]?.contains($0) == true }
                return operation.map { .granted("\(tool).\($0)") } ?? .refused
            }
            // A server's own tool name may contain a point: `get.payment`.
            guard separator == ".", tools.allSatisfy({ declared($0).isEmpty }) else {
                return Self.withoutProtocol(name) == nil ? .refused : .open
            }
            return .open
        }
        return .open
    }

    /// The name of a tool or of an operation alone.
    private func alone(_ words: String) -> String? {
        let tools = granted.filter { $0.value.contains(words) }.keys
        if let tool = tools.first { return tools.count == 1 ? "\(tool).\(words)" : words }
        return granted[words] == nil ? nil : words
    }

    /// `tool-operation`, with one separator of any kind between the two.
    private func joined(_ words: String, _ declared: (String) -> Set<String>) -> String? {
        guard let (tool, operation) = Self.splits(words).first(where: isGranted), !isAlsoRefused(words, declared) else {
            return nil
        }
        return "\(tool).\(operation)"
    }

    private func isGranted(_ tool: String, _ operation: String) -> Bool { granted[tool]?.contains(operation) == true }

    /// Whether the words name an existing tool and operation that is not granted.
    private func isAlsoRefused(_ words: String, _ declared: (String) -> Set<String>) -> Bool {
        Self.splits(words).contains { !isGranted($0.tool, $0.operation) && declared($0.tool).contains($0.operation) }
    }

    // MARK: Spelling

    /// A name as manifests would write it: small letters, and `-` for each `_`, `.` and `/`. If it has capitals inside
    /// words, also with `-` before them.
    static func spellings(_ name: String) -> [String] {
        let plain = String(decoding: name.utf8.map(folded), as: UTF8.self)
        let apart = String(decoding: wordsApart(Array(name.utf8)).map(folded), as: UTF8.self)
        return plain == apart ? [plain] : [plain, apart]
    }

    private static func folded(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "/"): UInt8(ascii: "-")
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
        one == other && !one.isEmpty || !Set(words(one)).isDisjoint(with: words(other))
    }

    /// Whether a name is another one, or its end, as `lookup` is of `payments.lookup`.
    package static func isEnd(_ name: String, of whole: String) -> Bool {
        let wholes = words(whole)
        return words(name).contains { end in wholes.contains { $0 == end || $0.hasSuffix("-" + end) } }
    }

    /// Whether two names may belong to one call: they have the same words, or one is the end of the other.
    package static func mayBeSame(_ one: String, _ other: String) -> Bool {
        isEnd(one, of: other) || isEnd(other, of: one)
    }

    /// A name's words with one `-` between each two; empty if it has none.
    private static func words(_ name: String) -> [String] {
        spellings(name).map { $0.split(separator: "-").joined(separator: "-") }.filter { !$0.isEmpty }
    }
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
