import EnsignCommandLine
import EnsignManifest
import EnsignModel

extension Verb {
    static let schema = Verb(
        name: "schema",
        group: .declare,
        summary: "Print the JSON Schema of a kind of manifest",
        discussion: "For editors that complete and check YAML, and for other checkers. draft-07.",
        arguments: [
            Argument(
                name: "KIND",
                summary: "The kind: \(ManifestKind.allCases.map(\.rawValue).joined(separator: ", "))",
                kind: .choice(ManifestKind.allCases.map(\.rawValue))
            )
        ],
        examples: [
            Example(command: "ensign schema Agent > agent.schema.json", meaning: "for # yaml-language-server: $schema=")
        ],
        output: .answer
    ) { invocation in
        guard let kind = ManifestKind(rawValue: invocation.argument(0) ?? "") else { return .usage }
        invocation.json(kind.editorSchema)
        return .done
    }
}
