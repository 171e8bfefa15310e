import EnsignModel
import EnsignTestSupport
import EnsignYAML

/// Parses marked text and reports the result: the tape as one line, then each problem.
func read(_ marked: String) -> String {
    let marked = MarkedText(marked)
    let (tape, problems) = YAMLParser.parse(marked.bytes[...])
    return ([tape.shown + (tape.isComplete ? "" : " (cut off)")] + problems.map { $0.shown(marked) })
        .joined(separator: "\n")
}

/// The problems of marked text.
func problems(_ marked: String) -> String {
    let marked = MarkedText(marked)
    return YAMLParser.parse(marked.bytes[...]).problems.map { $0.shown(marked) }.joined(separator: "\n")
}

/// What scanning marked text says, warnings with a question mark.
func scan(_ marked: String, manifest: Bool = true) -> String {
    let marked = MarkedText(marked)
    let result = TextScan.scan(marked.bytes, manifest: manifest)
    return (result.problems.map { $0.shown(marked) } + result.warnings.map { "? " + $0.shown(marked) })
        .joined(separator: "\n")
}

extension YAMLProblem {
    func shown(_ text: MarkedText) -> String {
        let place = text.name(Position(line: mark.line, column: mark.column))
        let more = related.map { related in
            " (\(text.name(Position(line: related.mark.line, column: related.mark.column))) \(related.message))"
        }
        return "\(place) \(code): \(message)\(hint.map { " [\($0)]" } ?? "")\(more ?? "")"
    }
}

extension YAMLTape {
    /// The tape as one line: plain scalars bare, quoted ones in quotes, `!` where something was refused.
    var shown: String { root.map(shown) ?? "nothing" }

    private func shown(_ node: Int) -> String {
        switch kind(of: node) {
        case .plain: return string(of: node)
        case .quoted: return "\"\(string(of: node).replacing("\n", with: "\\n"))\""
        case .invalid: return "!"
        case .sequence:
            var parts: [String] = []
            forEachElement(of: node) { parts.append(shown($0)) }
            return "[\(parts.joined(separator: ", "))]"
        case .mapping:
            var parts: [String] = []
            forEachPair(of: node) { parts.append("\(shown($0)): \(shown($1))") }
            return "{\(parts.joined(separator: ", "))}"
        }
    }

    /// Why the tape is not well formed; nil when it is. Calls everything that reads a node.
    var defect: String? {
        guard let root else { return nil }
        var defects: [String] = []
        var visited = 0
        func visit(_ node: Int, _ limit: Int) {
            visited += 1
            let end = end(of: node)
            if end <= node || end > limit { defects.append("node \(node) ends at \(end), beyond \(limit)") }
            _ = (string(of: node), matches(node, [0x61]), value(in: node, for: [0x61]), mark(of: node))
            var children = 0
            forEachElement(of: node) { child in
                children += 1
                visit(child, end)
            }
            forEachPair(of: node) { key, value in
                children += 1
                visit(key, end)
                visit(value, end)
            }
            if children != count(of: node) { defects.append("node \(node) has \(children) of \(count(of: node))") }
        }
        visit(root, end(of: root))
        if visited != end(of: root) { defects.append("\(visited) of \(end(of: root)) nodes are reachable") }
        return defects.first
    }
}

/// How long `body` takes.
func seconds(_ body: () throws -> Void) rethrows -> Double {
    let elapsed = try ContinuousClock().measure { try body() }
    return Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
}
