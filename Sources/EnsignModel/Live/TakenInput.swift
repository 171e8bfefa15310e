/// What an operation takes, as far as its declaration says it.
///
/// The one place that decides what a missing `input` means, for whoever compares, combines or offers operations. A missing
/// schema of a contract or an output means anything.
package enum TakenInput {
    /// The schema of an operation that declares no `input`: nobody has said what it takes, so it takes no arguments.
    package static let none: JSONValue = ["type": "object", "properties": [:], "additionalProperties": false]

    /// JSON Schema of the arguments that calls may have.
    package static func schema(_ input: JSONValue?) -> JSONValue { input ?? none }
}

extension BundleOperation {
    /// JSON Schema of the arguments that calls may have.
    package var taken: JSONValue { TakenInput.schema(input) }
}
