import EnsignCommandLine
import EnsignImport
import EnsignModel
import EnsignSystem

/// `import openapi`: a tool from a description of an HTTP interface.
struct InterfaceImport {
    let invocation: Invocation

    init(_ invocation: Invocation) { self.invocation = invocation }

    func run() throws -> ExitCode {
        guard let name = invocation.argument(1), let file = invocation.argument(2) else {
            throw UsageError(message: "'import openapi' needs NAME and FILE", verb: invocation.verb.name)
        }
        guard Name.isValid(name) else {
            throw UsageError(
                message: "\(name.quoted(utf8: 70)) is not a name: \(Name.rule)",
                verb: invocation.verb.name
            )
        }
        let destination = try ToolDestination(invocation)
        try destination.requireOwner(of: name)
        guard let bytes = try Files.read(file, limit: 64 << 20) else {
            throw Failure(message: "there is no file '\(file)'")
        }
        let document: OpenAPIDocument
        do throws(ForeignDocumentError) {
            document = try OpenAPIDocument(try ForeignDocument.read(bytes))
        } catch {
            throw Failure(message: error.text(of: file), code: .invalid)
        }
        var outcome = try destination.bring(
            name,
            document.operations,
            version: document.version,
            origin: "the OpenAPI description '\(document.title.onOneLine(utf8: 100))'",
            description: document.title.isEmpty ? nil : "\(document.title).",
            server: nil
        )
        outcome.decisions = outcome.decisions.filter { $0.subject != "server" } + document.decisions
        outcome.place(in: file, bytes) { document.places[$0] }
        return invocation.show([outcome])
    }
}
