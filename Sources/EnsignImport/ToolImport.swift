import EnsignManifest
package import EnsignModel

/// What a source offers, turned into a tool's manifest: a new one, or the one that is there with only what the source says
/// changed.
///
/// Pure: the same offer and the same text give the same result.
package struct ToolImport: Sendable {
    /// The whole manifest. Nil when nothing is to be written: no operation can be declared.
    package private(set) var text: String?
    package private(set) var differences: [ImportDifference] = []
    package private(set) var decisions: [ImportDecision] = []
    /// How many operations the manifest has.
    package private(set) var operations = 0

    /// What is known besides the operations.
    package struct Source: Sendable {
        /// The team that is to own a new tool.
        package var owner: String
        package var description: String?
        /// `server` of the manifest; nil where none is known.
        package var server: JSONValue?
        /// Where it comes from, for a comment: `the MCP server 'git'`.
        package var origin: String

        package init(owner: String, description: String?, server: JSONValue?, origin: String) {
            self.owner = owner
            self.description = description
            self.server = server
            self.origin = origin
        }
    }

    /// The most operations that a manifest has, and its greatest size.
    package static let mostOperations = 500
    package static let mostBytes = 1 << 20

    /// - Parameter existing: The newest version's text, which is continued; nil for a new tool.
    /// - Throws: ``ToolTextError`` when the existing text cannot be continued.
    package init(_ offered: [OfferedOperation], of source: Source, existing: String?) throws(ToolTextError) {
        let accepted = accept(offered)
        guard !accepted.isEmpty else {
            decisions.append(ImportDecision(.leftOut, nil, "no operation can be declared, so nothing is written"))
            return
        }
        guard accepted.count <= Self.mostOperations else {
            let rule = "a tool has at most \(Self.mostOperations) operations, and these are \(accepted.count)"
            let way = "take a part of them under each of several names, by --only NAME or --only 'PREFIX*'"
            decisions.append(ImportDecision(.leftOut, nil, "\(rule), so nothing is written: \(way)"))
            return
        }
        let result: String
        if let existing {
            var edit = try ToolText(existing)
            differences = edit.update(to: accepted)
            decisions += edit.decisions
            result = try edit.text()
        } else {
            result = Self.new(accepted, source)
            differences = accepted.map { ImportDifference(.added, $0.name) }
        }
        noteGuesses(accepted, isNew: existing == nil)
        guard result.utf8.count <= Self.mostBytes else {
            let rule = "a manifest has at most \(Self.mostBytes) bytes, and this one would have \(result.utf8.count)"
            decisions.append(ImportDecision(.leftOut, nil, "\(rule): nothing is written"))
            return
        }
        operations = accepted.count
        text = result
    }

    /// Those that can be declared, by name.
    private mutating func accept(_ offered: [OfferedOperation]) -> [OfferedOperation] {
        var names: Set<String> = []
        var accepted: [OfferedOperation] = []
        for operation in offered {
            let (readable, changes) = operation.readable()
            if let refusal = readable.refusal {
                leaveOut(operation.name, refusal)
            } else if !names.insert(operation.name).inserted {
                leaveOut(operation.name, "the source has the name twice; the first one counts")
            } else {
                for change in changes { decisions.append(ImportDecision(.look, operation.name, change)) }
                if accepted.count < Self.mostOperations, let problem = Self.problem(of: readable) {
                    leaveOut(operation.name, problem)
                } else {
                    accepted.append(readable)
                }
            }
        }
        return accepted.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    /// What a manifest with this operation alone would be refused for: one must not spoil the others.
    private static func problem(of operation: OfferedOperation) -> String? {
        let source = Source(owner: "a", description: nil, server: nil, origin: "a test")
        let text = new([operation], source)
        let loaded = ManifestLoader.load(Tool.self, Array(text.utf8), path: "a.yaml")
        return loaded.findings.first { $0.severity == .error || $0.code == Finding.secret }
            .map { "\($0.message) [\($0.code)]" }
    }

    /// A million refusals are not listed one by one.
    private mutating func leaveOut(_ name: String, _ why: String) {
        let count = decisions.count { $0.kind == .leftOut }
        if count < 100 { decisions.append(ImportDecision(.leftOut, name, why)) }
        if count == 100 { decisions.append(ImportDecision(.leftOut, nil, "and more that cannot be declared")) }
    }

    private mutating func noteGuesses(_ accepted: [OfferedOperation], isNew: Bool) {
        let new = Set(differences.filter { $0.kind == .added }.map(\.subject))
        let guessed = accepted.filter { $0.judgement.isGuess && (isNew || new.contains($0.name)) }
        guard !guessed.isEmpty else { return }
        let names = guessed.prefix(8).map(\.name).joined(separator: ", ") + (guessed.count > 8 ? ", ..." : "")
        decisions.append(
            ImportDecision(.guess, nil, "access and risk of \(guessed.count) operations are guesses: \(names)")
        )
    }

    // MARK: A new manifest

    private static func new(_ operations: [OfferedOperation], _ source: Source) -> String {
        var lines = [
            "# From \(source.origin.onOneLine(utf8: 200)). 'ensign import' updates what the source says, and keeps the rest.",
            "apiVersion: ensign.dev/v1", "kind: Tool", "spec:",
        ]
        lines += YAMLWriter.member("owner", .string(source.owner), indent: 2)
        if let description = source.description, !description.isEmpty {
            lines += YAMLWriter.member("description", .string(description.onItsLines), indent: 2)
        }
        if let server = source.server { lines += YAMLWriter.member("server", server, indent: 2) }
        lines.append("  operations:")
        for operation in operations { lines += ToolText.lines(of: operation, indent: 4) }
        return lines.joined(separator: "\n") + "\n"
    }
}
