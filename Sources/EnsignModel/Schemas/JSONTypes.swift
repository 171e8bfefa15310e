/// Types that a JSON value may have, as JSON Schema counts them.
package struct JSONTypes: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let null = JSONTypes(rawValue: 1)
    package static let boolean = JSONTypes(rawValue: 2)
    package static let integer = JSONTypes(rawValue: 4)
    /// Whole numbers are integers too.
    package static let number: JSONTypes = [.integer, JSONTypes(rawValue: 8)]
    package static let string = JSONTypes(rawValue: 16)
    package static let array = JSONTypes(rawValue: 32)
    package static let object = JSONTypes(rawValue: 64)
    package static let all: JSONTypes = [.null, .boolean, .number, .string, .array, .object]

    /// The types that the keyword `type` allows: a name or a list of names. Anything else limits nothing.
    init(keyword value: JSONValue) {
        switch value {
        case .string(let name): self = Self.named[name] ?? .all
        case .array(let names):
            self = names.reduce(into: []) { $0.formUnion($1.string.flatMap { Self.named[$0] } ?? .all) }
        default: self = .all
        }
    }

    /// The types that this value has.
    init(of value: JSONValue) {
        self =
            switch value {
            case .null: .null
            case .bool: .boolean
            case .integer, .number: .number
            case .string: .string
            case .array: .array
            case .object: .object
            }
    }

    private static let named: [String: JSONTypes] = [
        "null": .null, "boolean": .boolean, "integer": .integer, "number": .number, "string": .string,
        "array": .array, "object": .object,
    ]
}
