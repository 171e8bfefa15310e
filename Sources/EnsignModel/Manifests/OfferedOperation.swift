/// An operation as a source describes it, before it becomes part of a manifest: all of it is the source's word.
package struct OfferedOperation: Sendable, Hashable {
    package var name: String
    package var description: String?
    package var input: JSONValue?
    package var output: JSONValue?
    /// Whether it only reads, destroys, may be repeated: the source's word; nil where it is silent.
    package var isReadOnly: Bool?
    package var isDestructive: Bool?
    package var isIdempotent: Bool?
    /// What a method of HTTP implies; used where the source itself is silent.
    package var method: String?
    /// The digest of the definition as its server gives it; nil where the source is not a server.
    package var pin: Digest?

    package init(
        name: String,
        description: String? = nil,
        input: JSONValue? = nil,
        output: JSONValue? = nil,
        isReadOnly: Bool? = nil,
        isDestructive: Bool? = nil,
        isIdempotent: Bool? = nil,
        method: String? = nil,
        pin: Digest? = nil
    ) {
        self.name = name
        self.description = description
        self.input = input
        self.output = output
        self.isReadOnly = isReadOnly
        self.isDestructive = isDestructive
        self.isIdempotent = isIdempotent
        self.method = method
        self.pin = pin
    }
}
