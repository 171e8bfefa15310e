import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignYAML

/// Why a manifest cannot be continued.
package struct ToolTextError: Error, Sendable, Hashable, CustomStringConvertible {
    package let description: String
}

/// A tool's manifest as text, edited where a source says something else: order, comments and what people wrote survive.
struct ToolText {
    private var lines: [String]
    private var edits: [Edit] = []
    private(set) var decisions: [ImportDecision] = []

    /// Lines to replace: counted from 0; an empty range inserts.
    private struct Edit {
        var range: Range<Int>
        var lines: [String]
        /// Among edits at the same place, the one that was made first comes first.
        var order: Int
    }

    /// An operation in the text.
    private struct Present {
        var name: String
        /// What the server calls it: its `mcp.tool`, else its name.
        var serverName: String
        var key: Int
        var value: Int
        /// All of it, from its key's line on.
        var range: Range<Int>
        var isBlock: Bool
    }

    private let tape: YAMLTape
    /// Of what is written new: what most lines have.
    private let lineEnd: String
    /// Of each line.
    private var ends: [String]
    private var present: [Present] = []
    private var indent = 4
    /// What the operations are to be, by name; nil for those that are new.
    private var meant: [String: JSONValue?] = [:]

    init(_ text: String) throws(ToolTextError) {
        // By bytes: CR LF is one character.
        let written = text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false)
        let lineEnd = 2 * written.count { $0.last == 0x0D } >= written.count ? "\r\n" : "\n"
        self.lineEnd = lineEnd
        ends = written.map { $0.last == 0x0D ? "\r\n" : "\n" }
        // The last one may have none.
        if written.last?.isEmpty == true { ends.removeLast() } else { ends[ends.count - 1] = lineEnd }
        lines = written.map { String(decoding: $0.last == 0x0D ? $0.dropLast() : $0, as: UTF8.self) }
        if lines.last == "" { lines.removeLast() }
        let scan = TextScan.scan(Array(text.utf8), manifest: true)
        let (tape, problems) = YAMLParser.parse(scan.text)
        guard scan.problems.isEmpty, problems.isEmpty, let root = tape.root else {
            throw ToolTextError(description: "it is not a manifest that can be read: 'ensign validate' says why")
        }
        self.tape = tape
        guard let spec = tape.value(in: root, for: Array("spec".utf8)), tape.kind(of: spec) == .mapping,
            let operations = tape.value(in: spec, for: Array("operations".utf8)), tape.kind(of: operations) == .mapping
        else { throw ToolTextError(description: "it has no operations: 'ensign validate' says why") }
        var keys: [(Int, Int)] = []
        tape.forEachPair(of: operations) { keys.append(($0, $1)) }
        guard let first = keys.first, place(first.0).line > 0,
            Set(keys.map { place($0.0).line }).count == keys.count,
            Set(keys.map { place($0.0).column }).count == 1,
            lines[place(first.0).line].prefix(place(first.0).column).allSatisfy({ $0 == " " })
        else {
            throw ToolTextError(description: "its operations are in braces: write one a line, then it can be continued")
        }
        indent = place(first.0).column
        let end = end(of: operations, in: spec, in: root)
        for (index, (key, value)) in keys.enumerated() {
            let line = place(key).line
            let next = index + 1 < keys.count ? place(keys[index + 1].0).line : end
            // Braces may be in a line of their own.
            let start = place(value)
            let isInBraces = lines[start.line].unicodeScalars.dropFirst(start.column).first == "{"
            let isBlock = tape.kind(of: value) == .mapping && start.line > line && !isInBraces
            present.append(
                Present(
                    name: tape.string(of: key),
                    serverName: JSONValue(operation: tape, value)?["mcp"]?["tool"]?.string ?? tape.string(of: key),
                    key: key,
                    value: value,
                    range: region(from: line, indent, before: next),
                    isBlock: isBlock
                )
            )
            meant[tape.string(of: key)] = .some(JSONValue(operation: tape, value))
        }
    }

    /// The line in which something follows the operations.
    private func end(of operations: Int, in spec: Int, in root: Int) -> Int {
        let start = place(operations).line
        var end = lines.count
        for mapping in [root, spec] {
            tape.forEachPair(of: mapping) { key, _ in
                let line = place(key).line
                if line > start { end = min(end, line) }
            }
        }
        return end
    }

    /// Line and column, counted from 0.
    private func place(_ node: Int) -> (line: Int, column: Int) {
        let mark = tape.mark(of: node)
        return (Int(mark.line) - 1, Int(mark.column) - 1)
    }

    /// The lines of what begins in a line: those up to what follows it, without blank ones and comments at the end. A
    /// comment that stands further in belongs to it.
    ///
    /// - Parameter next: The line in which the parser found what follows: comments and texts may be anywhere.
    private func region(from line: Int, _ indent: Int, before next: Int) -> Range<Int> {
        var end = next
        while end > line + 1 {
            let rest = lines[end - 1].drop { $0 == " " || $0 == "\t" }
            let isOuter = lines[end - 1].count - rest.count <= indent
            guard rest.isEmpty || rest.first == "#" && isOuter else { break }
            end -= 1
        }
        return line..<end
    }

    /// Where the comment above an operation begins, which is its own.
    private func start(above line: Int, indent: Int? = nil) -> Int {
        let start = String(repeating: " ", count: indent ?? self.indent) + "#"
        var line = line
        while line > 0, lines[line - 1].hasPrefix(start) { line -= 1 }
        return line
    }

    // MARK: Updating

    /// Changes what differs from the operations that the source has now, and says what that was.
    mutating func update(to offered: [OfferedOperation]) -> [ImportDifference] {
        var differences: [ImportDifference] = []
        let byName = Dictionary(grouping: present, by: \.serverName)
        let names = Set(offered.map(\.name))
        var taken = names.union(present.map(\.name))
        for operation in offered {
            let known = byName[operation.name] ?? []
            for old in known {
                let details = change(old, to: operation)
                if !details.isEmpty { differences.append(ImportDifference(.changed, old.name, details)) }
            }
            guard known.isEmpty else { continue }
            let name = freeName(for: operation.name, &taken)
            insert(operation, as: name)
            differences.append(ImportDifference(.added, name))
        }
        for old in present where !names.contains(old.serverName) {
            remove(old)
            differences.append(ImportDifference(.removed, old.name))
        }
        return differences.sorted { $0.subject.utf8.lexicographicallyPrecedes($1.subject.utf8) }
    }

    /// What a tool of the server is called here: its own name, unless that is another operation's. Grants of that one must
    /// not come to mean this one.
    private mutating func freeName(for name: String, _ taken: inout Set<String>) -> String {
        guard present.contains(where: { $0.name == name }) else { return name }
        var number = 2
        var free = name
        repeat {
            free = "\(name.cut(utf8: 120))-\(number)"
            number += 1
        } while !taken.insert(free).inserted
        let why = "'\(name)' is the name of another operation here, so the server's tool is '\(free)', with mcp.tool"
        decisions.append(ImportDecision(.look, free, why))
        return free
    }

    private mutating func remove(_ old: Present) {
        let start = start(above: old.range.lowerBound)
        var end = old.range.upperBound
        // One empty line of two goes along, unless something comes between them.
        let isFirst = present.first?.key == old.key
        let isFree = !edits.contains { $0.range.isEmpty && $0.range.lowerBound == end }
        if isFree, end < lines.count, lines[end].isEmpty, isFirst || start > 0 && lines[start - 1].isEmpty { end += 1 }
        edit(start..<end, [])
        meant[old.name] = nil
    }

    /// A member that is to have another value, or none.
    private struct Replacement {
        var key: String
        var value: JSONValue?
        /// What is behind it then; nil for what is there now.
        var comment: String?
    }

    private mutating func change(_ old: Present, to new: OfferedOperation) -> [String] {
        let fields = JSONValue(operation: tape, old.value)?.object ?? [:]
        var details: [String] = []
        var changed: [Replacement] = []
        let description = new.description.flatMap { $0.isEmpty ? nil : JSONValue.string($0) }
        if fields["description"] != description {
            changed.append(Replacement(key: "description", value: description))
            let was = fields["description"]?.string ?? "none"
            details.append("description \(Self.words(description?.string ?? "none")) (was \(Self.words(was)))")
        }
        for (key, schema) in [("input", new.input), ("output", new.output)] where fields[key] != schema {
            changed.append(Replacement(key: key, value: schema))
            switch (fields[key], schema) {
            case (let was?, let now?):
                let found = SchemaDetails.differences(was, now)
                details += found.prefix(8).map { "\(key): \($0)" }
                // Where a server hides instructions.
                let words = SchemaWords.differences(was, now)
                details += words.prefix(8).map { "\(key): \($0.place) \(Self.words($0.text))" }
                if found.isEmpty, words.isEmpty { details.append("\(key): written in another way") }
            case (nil, _): details.append("\(key) is new")
            case (_, nil): details.append("\(key) is gone")
            }
        }
        if let pin = new.pin, fields["pin"]?.string != pin.description {
            changed.append(Replacement(key: "pin", value: .string(pin.description)))
            let was = fields["pin"]?.string.flatMap { Digest($0) }
            details.append("pin \(pin.short) (was \(was?.short ?? "none"))")
        }
        followHints(old, fields, new, &changed, &details)
        guard !changed.isEmpty else { return [] }
        var whole = fields
        for replacement in changed { whole[replacement.key] = replacement.value }
        meant[old.name] = .some(.object(whole))
        if old.isBlock { replace(changed, in: old) } else { rewrite(old, fields, changed) }
        return details
    }

    private static func words(_ text: String) -> String { "'\(text.onOneLine(utf8: 100))'" }

    /// What people decided stays, and what the server says now is told. What an import wrote on the source's word stands on
    /// nobody's when that is gone: then it is what it would be if the operation were new, if that is more.
    private mutating func followHints(
        _ old: Present,
        _ fields: JSONObject,
        _ new: OfferedOperation,
        _ changed: inout [Replacement],
        _ details: inout [String]
    ) {
        let judgement = new.judgement
        let (now, risk, why) = (judgement.access, judgement.risk, judgement.why)
        let access = fields["access"]?.string.flatMap { Access(rawValue: $0) }
        if let access, access < now, isOnSomebodysWord(old, "access") {
            changed.append(Replacement(key: "access", value: .string(now.rawValue), comment: why))
            details.append("access \(now.rawValue) (was \(access.rawValue), on a word that is gone: \(why))")
            // As it was written together with the access; another one is somebody's decision.
            let was = fields["risk"]?.string.flatMap { Risk(rawValue: $0) }
            if let was, was == Self.risk(with: access), was < risk {
                changed.append(Replacement(key: "risk", value: .string(risk.rawValue)))
                details.append("risk \(risk.rawValue) (was \(was.rawValue))")
            }
        } else if access == .read, new.isReadOnly == false || new.isDestructive == true {
            let why =
                "the manifest says access: read, and the server says that it does not only read; it stays as it is"
            decisions.append(ImportDecision(.look, old.name, why))
        }
        if fields["idempotent"] == true, new.isIdempotent != true, isOnSomebodysWord(old, "idempotent") {
            changed.append(Replacement(key: "idempotent", value: nil))
            details.append("no longer idempotent")
        }
    }

    /// The risk that an import writes with an access.
    private static func risk(with access: Access) -> Risk {
        switch access {
        case .read: .low
        case .write: .medium
        case .execute: .high
        }
    }

    /// Whether a member has the comment with which an import has written it.
    private func isOnSomebodysWord(_ old: Present, _ member: String) -> Bool {
        var comment: String?
        if old.isBlock {
            tape.forEachPair(of: old.value) { key, _ in
                if tape.string(of: key) == member { comment = YAMLComments.behind(lines[place(key).line]) }
            }
        }
        // With anything more it is somebody's own.
        return comment.map { OfferedOperation.reasons.contains($0) || OfferedOperation.isGuess($0) } ?? false
    }

    private mutating func replace(_ changed: [Replacement], in old: Present) {
        var places: [String: Range<Int>] = [:]
        var inner = indent + 2
        var keys: [Int] = []
        tape.forEachPair(of: old.value) { key, _ in keys.append(key) }
        for (index, key) in keys.enumerated() {
            let next = index + 1 < keys.count ? place(keys[index + 1]).line : old.range.upperBound
            inner = place(key).column
            places[tape.string(of: key)] = region(from: place(key).line, inner, before: next)
        }
        for replacement in changed {
            let key = replacement.key
            let range = places[key]
            let comment = replacement.comment ?? range.flatMap { YAMLComments.behind(lines[$0.lowerBound]) }
            let text = replacement.value.map { YAMLWriter.member(key, $0, indent: inner, comment: comment) } ?? []
            if let range {
                edit(range, text)
            } else {
                let before = key == "pin" ? places["input"] ?? places["output"] : nil
                let line =
                    key == "description"
                    ? old.range.lowerBound + 1
                    : before.map { start(above: $0.lowerBound, indent: inner) } ?? old.range.upperBound
                edit(line..<line, text)
            }
        }
    }

    /// An operation in braces is written anew: there is no place in it for a schema. Its comments stand first.
    private mutating func rewrite(_ old: Present, _ fields: JSONObject, _ changed: [Replacement]) {
        var fields = fields
        for replacement in changed { fields[replacement.key] = replacement.value }
        let comments = YAMLComments.scan(lines[old.range])
        let beside = comments.first.flatMap { $0 }.map { "  # \($0)" } ?? ""
        var text = [String(repeating: " ", count: indent) + YAMLWriter.text(old.name) + ":" + beside]
        text += comments.dropFirst().compactMap { $0 }.map { String(repeating: " ", count: indent + 2) + "# \($0)" }
        let order = ["description", "access", "risk", "idempotent", "timeout", "pin", "input", "output"]
        for (key, value) in fields.sorted(by: {
            (order.firstIndex(of: $0.key) ?? 4) < (order.firstIndex(of: $1.key) ?? 4)
        }) {
            text += YAMLWriter.member(key, value, indent: indent + 2)
        }
        edit(old.range, text)
    }

    private mutating func insert(_ operation: OfferedOperation, as name: String) {
        let text = Self.lines(of: operation, as: name, indent: indent)
        let next = present.first { name.utf8.lexicographicallyPrecedes($0.name.utf8) }
        let line = next.map { start(above: $0.range.lowerBound) } ?? present.last?.range.upperBound ?? lines.count
        edit(line..<line, text)
        meant[name] = .some(nil)
    }

    private mutating func edit(_ range: Range<Int>, _ text: [String]) {
        edits.append(Edit(range: range, lines: text, order: edits.count))
    }

    /// The text with all edits.
    ///
    /// - Throws: ``ToolTextError`` when it would say something else than what is meant: lines are cut by their looks, and
    ///   nobody's permission may change by that.
    func text() throws(ToolTextError) -> String {
        let text = edited
        let (tape, problems) = YAMLParser.parse(TextScan.scan(Array(text.utf8), manifest: true).text)
        var said: [String: JSONValue?] = [:]
        if problems.isEmpty, let root = tape.root, let spec = tape.value(in: root, for: Array("spec".utf8)),
            let operations = tape.value(in: spec, for: Array("operations".utf8))
        {
            tape.forEachPair(of: operations) { said[tape.string(of: $0)] = .some(JSONValue(operation: tape, $1)) }
        }
        let names = Set(said.keys).symmetricDifference(meant.keys)
        let others = meant.filter { name, value in value != nil && said[name] != .some(value) }.map(\.key)
        guard let name = names.union(others).min() else { return text }
        throw ToolTextError(
            description:
                "the lines of '\(name)' cannot be told from those beside it: write each operation in lines of its own, "
                + "indented alike"
        )
    }

    private var edited: String {
        var result = zip(lines, ends).map { $0 + $1 }
        let ordered = edits.sorted { left, right in
            (left.range.lowerBound, left.range.upperBound, left.order)
                < (right.range.lowerBound, right.range.upperBound, right.order)
        }
        for edit in ordered.reversed() { result.replaceSubrange(edit.range, with: edit.lines.map { $0 + lineEnd }) }
        return result.joined()
    }

    // MARK: Writing

    /// The lines of an operation that is new.
    ///
    /// - Parameter name: What it is called here; the source's own name by default.
    static func lines(of operation: OfferedOperation, as name: String? = nil, indent: Int) -> [String] {
        let judgement = operation.judgement
        let (access, risk, why) = (judgement.access, judgement.risk, judgement.why)
        var lines = [String(repeating: " ", count: indent) + YAMLWriter.text(name ?? operation.name) + ":"]
        if let name, name != operation.name {
            lines += YAMLWriter.member("mcp", ["tool": .string(operation.name)], indent: indent + 2)
        }
        if let description = operation.description, !description.isEmpty {
            lines += YAMLWriter.member("description", .string(description), indent: indent + 2)
        }
        lines += YAMLWriter.member("access", .string(access.rawValue), indent: indent + 2, comment: why)
        lines += YAMLWriter.member("risk", .string(risk.rawValue), indent: indent + 2)
        if operation.isIdempotent == true, access != .read {
            let why = OfferedOperation.repeatable
            lines += YAMLWriter.member("idempotent", true, indent: indent + 2, comment: why)
        }
        if let pin = operation.pin {
            lines += YAMLWriter.member("pin", .string(pin.description), indent: indent + 2)
        }
        if let input = operation.input { lines += YAMLWriter.member("input", input, indent: indent + 2) }
        if let output = operation.output { lines += YAMLWriter.member("output", output, indent: indent + 2) }
        return lines
    }
}
