package import EnsignModel
import EnsignYAML

/// Changes what a deployment's grants select, in its text, and nothing else: comments, order and formatting of the rest
/// survive byte for byte.
package enum GrantEdit {
    package enum Change: Sendable {
        case remove
        /// Operations that are taken out, and exceptions that are added.
        case select(OperationSelection)
    }

    /// The text with some of `spec.grants` changed, by their index.
    ///
    /// - Returns: nil where the text is not written in a way that this can edit. Whoever asks compares what the result
    ///   grants.
    package static func applying(_ changes: [Int: Change], to bytes: [UInt8]) -> [UInt8]? {
        guard let text = DeploymentText(bytes) else { return nil }
        return text.applying(changes)
    }
}

/// A deployment's text with the places of its grants.
private struct DeploymentText {
    private let bytes: [UInt8]
    private let tape: YAMLTape
    private let base: Int
    private let key: Int
    private let grants: Int

    private struct Edit {
        var range: Range<Int>
        var text: [UInt8]
    }

    init?(_ bytes: [UInt8]) {
        let scan = TextScan.scan(bytes, manifest: true)
        let (tape, problems) = YAMLParser.parse(bytes[scan.start...])
        guard problems.isEmpty, let root = tape.root, let spec = tape.value(in: root, for: Array("spec".utf8)) else {
            return nil
        }
        var pair: (key: Int, value: Int)?
        tape.forEachPair(of: spec) { if tape.matches($0, Array("grants".utf8)) { pair = ($0, $1) } }
        guard let pair, tape.kind(of: pair.value) == .sequence else { return nil }
        (self.bytes, self.tape, key, grants, base) = (bytes, tape, pair.key, pair.value, scan.start)
    }

    func applying(_ changes: [Int: GrantEdit.Change]) -> [UInt8]? {
        var elements: [Int] = []
        tape.forEachElement(of: grants) { elements.append($0) }
        guard changes.keys.allSatisfy(elements.indices.contains) else { return nil }
        let removed = Set(changes.filter { if case .remove = $0.value { true } else { false } }.keys)
        var edits: [Edit] = []
        for (index, change) in changes {
            guard case .select(let selection) = change else { continue }
            guard let found = self.edits(selection, in: elements[index]) else { return nil }
            edits += found
        }
        guard let list = removing(removed, elements) else { return nil }
        return apply(edits + list)
    }

    private func apply(_ edits: [Edit]) -> [UInt8]? {
        var result = bytes
        var last = bytes.count + 1
        // What is put where a cut begins comes before the cut.
        let ordered = edits.sorted {
            ($0.range.lowerBound, $0.range.upperBound) > ($1.range.lowerBound, $1.range.upperBound)
        }
        for edit in ordered {
            guard edit.range.upperBound <= last else { return nil }
            result.replaceSubrange(edit.range, with: edit.text)
            last = edit.range.lowerBound
        }
        return result
    }

    // MARK: Whole grants

    private func removing(_ removed: Set<Int>, _ elements: [Int]) -> [Edit]? {
        guard !removed.isEmpty else { return [] }
        guard let start = offset(of: grants), let end = end(of: grants) else { return nil }
        if removed.count == elements.count {
            // A list in lines begins below its key.
            guard bytes[start] != UInt8(ascii: "[") else { return [Edit(range: start..<end, text: Array("[]".utf8))] }
            guard let colon = self.end(of: key), bytes[colon] == UInt8(ascii: ":") else { return nil }
            return [Edit(range: colon + 1..<end, text: Array(" []".utf8))]
        }
        return bytes[start] == UInt8(ascii: "[")
            ? removingInline(removed, elements)
            : removed.sorted().reduce(into: []) { edits, index in
                edits = edits.flatMap { edits in lines(of: elements[index]).map { edits + [Edit(range: $0, text: [])] }
                }
            }
    }

    /// Of `[a, b, c]`, each with the comma that parts it from what stays.
    private func removingInline(_ removed: Set<Int>, _ elements: [Int]) -> [Edit]? {
        var edits: [Edit] = []
        var kept: Int?
        for index in elements.indices {
            guard removed.contains(index) else {
                kept = index
                continue
            }
            guard let start = offset(of: elements[index]), let end = end(of: elements[index]) else { return nil }
            if index + 1 < elements.count {
                guard let next = offset(of: elements[index + 1]) else { return nil }
                edits.append(Edit(range: start..<next, text: []))
            } else {
                guard let kept, let before = self.end(of: elements[kept]) else { return nil }
                // A comment between belongs to the one that stays; its comma may stand behind the last one.
                guard !bytes[before..<start].contains(UInt8(ascii: "#")) else {
                    edits.append(Edit(range: start..<end, text: []))
                    continue
                }
                // What was taken out between the last one that stays and this one is part of this cut.
                edits.removeAll { $0.range.lowerBound >= before }
                edits.append(Edit(range: before..<end, text: []))
            }
        }
        return edits
    }

    /// The lines of an element of a list in lines, from its `-` to the end of its last line.
    private func lines(of element: Int) -> Range<Int>? {
        guard let start = offset(of: element), let end = end(of: element),
            let dash = bytes[..<start].lastIndex(where: { $0 != 0x20 && $0 != 0x0A && $0 != 0x0D }),
            bytes[dash] == UInt8(ascii: "-")
        else { return nil }
        let first = bytes[..<dash].lastIndex(of: 0x0A).map { $0 + 1 } ?? base
        guard bytes[first..<dash].allSatisfy({ $0 == 0x20 }) else { return nil }
        return first..<lineEnd(after: end)
    }

    private func lineEnd(after offset: Int) -> Int {
        bytes[offset...].firstIndex(of: 0x0A).map { $0 + 1 } ?? bytes.count
    }

    // MARK: What one selects

    private func edits(_ selection: OperationSelection, in grant: Int) -> [Edit]? {
        var nodes: [String: (key: Int, value: Int)] = [:]
        tape.forEachPair(of: grant) { nodes[tape.string(of: $0)] = ($0, $1) }
        guard let operations = nodes["operations"],
            var edits = edits(selection.included, in: operations.value)
        else { return nil }
        guard !selection.excepted.isEmpty else { return edits }
        if let except = nodes["except"] {
            guard let more = self.edits(selection.excepted, in: except.value) else { return nil }
            edits += more
        } else {
            guard let start = offset(of: grant), let end = end(of: operations.value),
                let insertion = insertion(
                    selection.excepted,
                    behind: end,
                    isInline: bytes[start] == UInt8(ascii: "{"),
                    operations.key
                )
            else { return nil }
            edits.append(insertion)
        }
        return edits
    }

    private func insertion(
        _ excepted: [Located<OperationSelector>],
        behind end: Int,
        isInline: Bool,
        _ key: Int
    ) -> Edit? {
        let field = "except: \(Self.list(excepted))"
        if isInline { return Edit(range: end..<end, text: Array(", \(field)".utf8)) }
        let line = lineEnd(after: end)
        let indent = String(repeating: " ", count: Int(tape.mark(of: key).column) - 1)
        let isEnded = line > 0 && bytes[line - 1] == 0x0A
        let text = "\(isEnded ? "" : lineBreak)\(indent)\(field)\(isEnded ? lineBreak : "")"
        return Edit(range: line..<line, text: Array(text.utf8))
    }

    private var lineBreak: String { bytes.contains(0x0D) ? "\r\n" : "\n" }

    private static func list(_ selectors: [Located<OperationSelector>]) -> String {
        "[\(selectors.map(\.value.text).joined(separator: ", "))]"
    }

    /// Makes a list of operations that of `selectors`: what goes is cut out, what is new comes behind what stays.
    private func edits(_ selectors: [Located<OperationSelector>], in list: Int) -> [Edit]? {
        guard let start = offset(of: list), let end = end(of: list) else { return nil }
        let isInline = bytes[start] == UInt8(ascii: "[")
        var elements: [Int] = []
        tape.forEachElement(of: list) { elements.append($0) }
        // Those that stay are where they were read.
        let staying = elements.indices.filter { index in selectors.contains { isWritten($0, at: elements[index]) } }
        let new = selectors.filter { selector in !elements.contains { isWritten(selector, at: $0) } }
        guard let last = staying.last else {
            let indent = lineBreak + String(repeating: " ", count: Int(tape.mark(of: list).column) - 1)
            let text =
                isInline
                ? Self.list(selectors) : selectors.map { "- \($0.value.text)" }.joined(separator: indent)
            return [Edit(range: start..<end, text: Array(text.utf8))]
        }
        let gone = Set(elements.indices).subtracting(staying)
        if isInline {
            guard var edits = removingInline(gone, elements), let end = self.end(of: elements[last]) else { return nil }
            let text = new.map { ", \($0.value.text)" }.joined()
            if !new.isEmpty { edits.append(Edit(range: end..<end, text: Array(text.utf8))) }
            return edits
        }
        var edits: [Edit] = []
        for index in gone {
            guard let lines = lines(of: elements[index]) else { return nil }
            edits.append(Edit(range: lines, text: []))
        }
        guard !new.isEmpty else { return edits }
        guard let lines = lines(of: elements[last]) else { return nil }
        let indent = String(decoding: bytes[lines].prefix { $0 == 0x20 }, as: UTF8.self)
        let isEnded = bytes[lines.upperBound - 1] == 0x0A
        let text = new.map { "\(isEnded ? "" : lineBreak)\(indent)- \($0.value.text)\(isEnded ? lineBreak : "")" }
        edits.append(Edit(range: lines.upperBound..<lines.upperBound, text: Array(text.joined().utf8)))
        return edits
    }

    /// Whether a selector is what an element says.
    private func isWritten(_ selector: Located<OperationSelector>, at element: Int) -> Bool {
        guard selector.position == Position(tape.mark(of: element)) else { return false }
        return switch selector.value {
        case .all: tape.string(of: element) == "*"
        case .name(let name): tape.string(of: element) == name
        case .matching: tape.kind(of: element) == .mapping
        }
    }

    // MARK: Places

    private func offset(of node: Int) -> Int? { VersionEdit.offset(of: tape.mark(of: node), in: bytes, from: base) }

    /// Where a node's text ends.
    private func end(of node: Int) -> Int? {
        guard let start = offset(of: node), start < bytes.count else { return nil }
        switch tape.kind(of: node) {
        case .plain:
            let end = start + tape.bytes(of: node).count
            return end <= bytes.count && bytes[start..<end].elementsEqual(tape.bytes(of: node)) ? end : nil
        case .quoted: return quotedEnd(from: start)
        case .mapping, .sequence:
            if bytes[start] == UInt8(ascii: "[") || bytes[start] == UInt8(ascii: "{") { return bracketEnd(from: start) }
            var last: Int?
            if tape.kind(of: node) == .mapping {
                tape.forEachPair(of: node) { last = $1 }
            } else {
                tape.forEachElement(of: node) { last = $0 }
            }
            return last.flatMap(end)
        case .invalid: return nil
        }
    }

    private func quotedEnd(from start: Int) -> Int? {
        let quote = bytes[start]
        guard quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else { return nil }
        var index = start + 1
        while index < bytes.count {
            if quote == UInt8(ascii: "\""), bytes[index] == UInt8(ascii: "\\") {
                index += 2
            } else if bytes[index] == quote {
                // Two of them are one in single quotes.
                guard quote == UInt8(ascii: "'"), index + 1 < bytes.count, bytes[index + 1] == quote else {
                    return index + 1
                }
                index += 2
            } else {
                index += 1
            }
        }
        return nil
    }

    private func bracketEnd(from start: Int) -> Int? {
        var (depth, index) = (0, start)
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                depth -= 1
                if depth == 0 { return index + 1 }
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                // Inside a word it is a letter.
                if let before = bytes[..<index].last, Self.mayPrecedeQuote.contains(before) {
                    guard let end = quotedEnd(from: index) else { return nil }
                    index = end
                    continue
                }
            case UInt8(ascii: "#"):
                if let before = bytes[..<index].last, before == 0x20 || before == 0x0A {
                    index = lineEnd(after: index)
                    continue
                }
            default: break
            }
            index += 1
        }
        return nil
    }

    private static let mayPrecedeQuote = Set(" \n\r[{,:".utf8)
}
