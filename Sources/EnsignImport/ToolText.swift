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
    private var present: [Present] = []
    private var indent = 4

    init(_ text: String) throws(ToolTextError) {
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
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
        for (key, value) in keys {
            let line = place(key).line
            let isBlock = tape.kind(of: value) == .mapping && place(value).line > line
            present.append(
                Present(
                    name: tape.string(of: key),
                    serverName: JSONValue(operation: tape, value)?["mcp"]?["tool"]?.string ?? tape.string(of: key),
                    key: key,
                    value: value,
                    range: region(from: line, indent),
                    isBlock: isBlock
                )
            )
        }
    }

    /// Line and column, counted from 0.
    private func place(_ node: Int) -> (line: Int, column: Int) {
        let mark = tape.mark(of: node)
        return (Int(mark.line) - 1, Int(mark.column) - 1)
    }

    /// The lines of what begins in a line: those that follow and stand further in, without blank ones at the end.
    private func region(from line: Int, _ indent: Int) -> Range<Int> {
        var end = line + 1
        var next = end
        while next < lines.count {
            let depth = lines[next].prefix { $0 == " " }.count
            let isBlank = depth == lines[next].count
            guard isBlank || depth > indent else { break }
            next += 1
            if !isBlank { end = next }
        }
        return line..<end
    }

    // MARK: Updating

    /// Changes what differs from the operations that the source has now, and says what that was.
    mutating func update(to offered: [OfferedOperation]) -> [ImportDifference] {
        var differences: [ImportDifference] = []
        let byName = Dictionary(present.map { ($0.serverName, $0) }) { first, _ in first }
        for operation in offered {
            if let old = byName[operation.name] {
                let details = change(old, to: operation)
                if !details.isEmpty { differences.append(ImportDifference(.changed, operation.name, details)) }
            } else {
                insert(operation)
                differences.append(ImportDifference(.added, operation.name))
            }
        }
        let names = Set(offered.map(\.name))
        for old in present where !names.contains(old.serverName) {
            edit(old.range, [])
            differences.append(ImportDifference(.removed, old.name))
        }
        return differences.sorted { $0.subject.utf8.lexicographicallyPrecedes($1.subject.utf8) }
    }

    private mutating func change(_ old: Present, to new: OfferedOperation) -> [String] {
        let fields = JSONValue(operation: tape, old.value)?.object ?? [:]
        var details: [String] = []
        var changed: [(key: String, value: JSONValue?)] = []
        let description = new.description.flatMap { $0.isEmpty ? nil : JSONValue.string($0) }
        if fields["description"] != description {
            changed.append(("description", description))
            let was = fields["description"]?.string ?? "none"
            details.append("description \(Self.words(description?.string ?? "none")) (was \(Self.words(was)))")
        }
        for (key, schema) in [("input", new.input), ("output", new.output)] where fields[key] != schema {
            changed.append((key, schema))
            switch (fields[key], schema) {
            case (let was?, let now?):
                let found = SchemaDetails.differences(was, now)
                details += found.isEmpty ? ["\(key): other words"] : found.prefix(8).map { "\(key): \($0)" }
            case (nil, _): details.append("\(key) is new")
            case (_, nil): details.append("\(key) is gone")
            }
        }
        if let pin = new.pin, fields["pin"]?.string != pin.description {
            changed.append(("pin", .string(pin.description)))
            let was = fields["pin"]?.string.flatMap { Digest($0) }
            details.append("pin \(pin.short) (was \(was?.short ?? "none"))")
        }
        noteHints(old.name, fields, new)
        guard !changed.isEmpty else { return [] }
        if old.isBlock { replace(changed, in: old) } else { rewrite(old, fields, changed) }
        return details
    }

    private static func words(_ text: String) -> String { "'\(text.onOneLine(utf8: 100))'" }

    /// What people decided stays. What the server says of it now may be another thing.
    private mutating func noteHints(_ name: String, _ fields: JSONObject, _ new: OfferedOperation) {
        guard fields["access"] == .string(Access.read.rawValue) else { return }
        if new.isReadOnly == false || new.isDestructive == true {
            let why =
                "the manifest says access: read, and the server says that it does not only read; it stays as it is"
            decisions.append(ImportDecision(.look, name, why))
        }
    }

    private mutating func replace(_ changed: [(key: String, value: JSONValue?)], in old: Present) {
        var places: [String: Range<Int>] = [:]
        var inner = indent + 2
        tape.forEachPair(of: old.value) { key, _ in
            let place = place(key)
            inner = place.column
            places[tape.string(of: key)] = region(from: place.line, place.column)
        }
        for (key, value) in changed {
            let text = value.map { YAMLWriter.member(key, $0, indent: inner) } ?? []
            if let range = places[key] {
                edit(range, text)
            } else {
                let before = key == "pin" ? places["input"] ?? places["output"] : nil
                let line =
                    key == "description" ? old.range.lowerBound + 1 : before?.lowerBound ?? old.range.upperBound
                edit(line..<line, text)
            }
        }
    }

    /// An operation in braces is written anew: there is no place in it for a schema.
    private mutating func rewrite(_ old: Present, _ fields: JSONObject, _ changed: [(key: String, value: JSONValue?)]) {
        var fields = fields
        for (key, value) in changed { fields[key] = value }
        var text = [String(repeating: " ", count: indent) + YAMLWriter.text(old.name) + ":"]
        let order = ["description", "access", "risk", "idempotent", "timeout", "pin", "input", "output"]
        for (key, value) in fields.sorted(by: {
            (order.firstIndex(of: $0.key) ?? 4) < (order.firstIndex(of: $1.key) ?? 4)
        }) {
            text += YAMLWriter.member(key, value, indent: indent + 2)
        }
        edit(old.range, text)
    }

    private mutating func insert(_ operation: OfferedOperation) {
        let text = Self.lines(of: operation, indent: indent)
        let next = present.first { operation.name.utf8.lexicographicallyPrecedes($0.name.utf8) }
        var line = next?.range.lowerBound ?? present.last?.range.upperBound ?? lines.count
        // A comment above an operation is its own.
        if next != nil {
            let start = String(repeating: " ", count: indent) + "#"
            while line > 0, lines[line - 1].hasPrefix(start) { line -= 1 }
        }
        edit(line..<line, text)
    }

    private mutating func edit(_ range: Range<Int>, _ text: [String]) {
        edits.append(Edit(range: range, lines: text, order: edits.count))
    }

    /// The text with all edits.
    var text: String {
        var result = lines
        let ordered = edits.sorted { left, right in
            (left.range.lowerBound, left.range.upperBound, left.order)
                < (right.range.lowerBound, right.range.upperBound, right.order)
        }
        for edit in ordered.reversed() { result.replaceSubrange(edit.range, with: edit.lines) }
        return result.joined(separator: "\n") + "\n"
    }

    // MARK: Writing

    /// The lines of an operation that is new.
    static func lines(of operation: OfferedOperation, indent: Int) -> [String] {
        let (access, risk, why) = operation.judgement
        var lines = [String(repeating: " ", count: indent) + YAMLWriter.text(operation.name) + ":"]
        if let description = operation.description, !description.isEmpty {
            lines += YAMLWriter.member("description", .string(description), indent: indent + 2)
        }
        lines += YAMLWriter.member("access", .string(access.rawValue), indent: indent + 2, comment: why)
        lines += YAMLWriter.member("risk", .string(risk.rawValue), indent: indent + 2)
        if operation.isIdempotent == true, access != .read {
            let why = "idempotentHint, the server's own word"
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
