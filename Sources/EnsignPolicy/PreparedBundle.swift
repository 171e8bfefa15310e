import EnsignJSON
package import EnsignModel
import Synchronization

/// A bundle that many calls are held against: its schemas are compiled once, its names are ready.
///
/// Safe from any number of threads.
package final class PreparedBundle: Sendable {
    package let bundle: Bundle
    package let digest: Digest
    package let names: ToolNames
    /// What must have succeeded before, of all operations.
    package let conditions: [Precondition]
    /// Compiled schemas by operation and side; a failure is one for every call.
    private let schemas = Mutex<[Side: Result<JSONSchema, JSONSchemaError>]>([:])

    private struct Side: Hashable {
        var tool: String
        var operation: String
        var isInput: Bool
    }

    /// - Parameter digest: That of its file.
    package init(_ bundle: Bundle, digest: Digest) {
        self.bundle = bundle
        self.digest = digest
        names = ToolNames(bundle)
        conditions = bundle.tools.flatMap { $0.operations.values }.flatMap(\.after)
    }

    /// Why arguments are refused by an operation's input schema; nil when it accepts them.
    ///
    /// - Throws: ``JSONSchemaError`` for a schema that no host would have compiled.
    func culprit(_ call: CallPolicy.Call, _ input: JSONValue, _ arguments: JSONValue) throws -> SchemaCulprit.Failing? {
        let schema = try schema(input, Side(tool: call.tool, operation: call.operation, isInput: true))
        // What refuses is looked for only once something does.
        return schema.validate(arguments, limit: 1).isEmpty ? nil : try SchemaCulprit.find(in: input, for: arguments)
    }

    /// Why a result does not fit an operation's output schema; nil when it does.
    package func misfit(_ tool: String, _ operation: String, _ result: JSONValue) throws -> String? {
        guard let output = bundle.operation(tool, operation)?.output else { return nil }
        let schema = try schema(output, Side(tool: tool, operation: operation, isInput: false))
        return schema.validate(result, limit: 1).first?.description
    }

    private func schema(_ source: JSONValue, _ side: Side) throws -> JSONSchema {
        if let known = schemas.withLock({ $0[side] }) { return try known.get() }
        let compiled = Result { () throws(JSONSchemaError) in try JSONSchema(source) }
        schemas.withLock { $0[side] = compiled }
        return try compiled.get()
    }
}
