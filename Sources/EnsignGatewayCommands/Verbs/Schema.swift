import EnsignCommandLine
import EnsignGateway

extension Verb {
    static let schema = Verb(
        name: "schema",
        group: .setUp,
        summary: "Print the JSON Schema of the operator's file, for editors",
        examples: [
            Example(
                command: "ensign-gateway schema > gateway.schema.json",
                meaning: "an editor checks the file with it; docs/schemas/gateway.json is the same"
            )
        ],
        output: .answer
    ) { invocation in
        invocation.json(GatewayFile.editorSchema)
        return .done
    }
}
