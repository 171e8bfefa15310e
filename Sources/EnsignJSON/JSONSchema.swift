import CJSONSchema
package import EnsignModel

/// A compiled JSON Schema of any dialect that ``SchemaDialect`` has, with the keywords of ``SchemaKeyword``.
///
/// Any number of threads may validate at once.
@safe
package final class JSONSchema: Sendable {
    // Immutable once it exists: CJSONSchema.h then promises reads from several threads.
    private nonisolated(unsafe) let handle: OpaquePointer

    /// Compiles a schema.
    ///
    /// - Throws: ``JSONSchemaError`` if ``lintSchema(_:)`` finds an error in it. Warnings are not failures.
    package init(_ schema: JSONValue) throws(JSONSchemaError) {
        let problems = lintSchema(schema).filter { $0.severity == .error }
        guard problems.isEmpty else { throw JSONSchemaError(problems: problems) }

        let rewritten = SchemaRewriter(schema)
        let handle = unsafe cjs_schema_create(
            rewritten.bytes,
            rewritten.bytes.count,
            rewritten.patterns,
            rewritten.patternEnds,
            rewritten.patternEnds.count
        )
        guard let handle = unsafe handle else { throw JSONSchemaError(unexpected: lastMessage()) }
        unsafe self.handle = handle
    }

    deinit {
        unsafe cjs_schema_free(handle)
    }

    /// Validates a value.
    ///
    /// Every number in the value must be finite. Time is bounded: a value that is too expensive gets a violation with
    /// ``JSONSchemaViolation/isLimit``.
    ///
    /// - Parameters:
    ///   - value: The value.
    ///   - limit: The most violations to return, 1 or more.
    /// - Returns: Why the value is not valid, in the order of its parts, keys sorted. Empty if it is.
    package func validate(_ value: JSONValue, limit: Int = 20) -> [JSONSchemaViolation] {
        precondition(limit > 0, "limit is 1 or more")
        let instance = Instance(value)
        if let refusal = instance.refusal { return [JSONSchemaViolation(path: [], message: refusal, isLimit: true)] }

        var report: UnsafePointer<cjs_report>?
        let status = unsafe cjs_schema_validate(
            handle,
            instance.nodes,
            instance.text,
            instance.unescaped,
            limit,
            &report
        )
        if status < 0 {
            return [JSONSchemaViolation(path: [], message: "validation failed: \(lastMessage())", isLimit: true)]
        }
        guard let report = unsafe report else { return [] }
        defer { unsafe cjs_report_free(report) }
        return unsafe UnsafeBufferPointer(start: report.pointee.violations, count: report.pointee.count).map {
            violation in
            let message = unsafe UnsafeRawBufferPointer(start: violation.message, count: violation.message_count)
            return unsafe JSONSchemaViolation(
                path: instance.path(to: Int(violation.node), in: value),
                message: String(decoding: message, as: UTF8.self).onOneLine,
                isLimit: violation.is_limit != 0
            )
        }
    }
}

/// Why a schema does not compile.
package struct JSONSchemaError: Error, Sendable, Hashable {
    /// What the linter found, errors only. Empty if valijson refused what the linter had passed: a bug in Ensign.
    package let problems: [SchemaProblem]
    package let message: String

    init(problems: [SchemaProblem]) {
        self.problems = problems
        self.message =
            problems.first.map { first in
                let more = problems.count > 1 ? " (and \(problems.count - 1) more)" : ""
                return "\(first.pointer.jsonPointer.excerpt(200)): \(first.message)\(more)"
            } ?? ""
    }

    init(unexpected message: String) {
        problems = []
        self.message = message
    }
}

extension JSONSchemaError: CustomStringConvertible {
    package var description: String { message }
}

/// One reason why a value is not valid.
package struct JSONSchemaViolation: Sendable, Hashable {
    /// The way from the root of the value to the part that is wrong. It exists: for a missing member, it leads to the
    /// object.
    package let path: [JSONPathStep]
    /// One sentence without a full stop, printable.
    package let message: String
    /// Whether validation gave up, because a pattern or the whole was too expensive. The value may be valid.
    package let isLimit: Bool

    /// The path as a JSON Pointer (RFC 6901). Empty for the whole value.
    package var pointer: String {
        path.map { step in
            switch step {
            case .key(let key): key
            case .index(let index): String(index)
            }
        }.jsonPointer
    }
}

extension JSONSchemaViolation: CustomStringConvertible {
    package var description: String { pointer.isEmpty ? message : "\(pointer.excerpt(200)): \(message)" }
}

/// One step into a JSON value.
package enum JSONPathStep: Sendable, Hashable {
    case key(String)
    /// Counted from 0.
    case index(Int)
}

extension [String] {
    /// The segments as a JSON Pointer (RFC 6901).
    package var jsonPointer: String {
        var pointer = ""
        for segment in self {
            pointer += "/"
            for scalar in segment.unicodeScalars {
                switch scalar {
                case "~": pointer += "~0"
                case "/": pointer += "~1"
                default: pointer.unicodeScalars.append(scalar)
                }
            }
        }
        return pointer
    }
}
