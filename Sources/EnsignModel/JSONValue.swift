/// A JSON value (RFC 8259).
///
/// Two values are equal when their canonical bytes are (``canonicalBytes()``): `1` equals `1.0`, `-0.0` equals `0`, and
/// strings compare by their code points, never by Unicode equivalence.
package enum JSONValue: Sendable {
    case null
    case bool(Bool)
    /// A whole number. ``init(_:)-(Double)`` also puts whole doubles within ±2^53 here.
    case integer(Int64)
    /// Any other finite number.
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// Creates a number, as an integer if it is whole and within ±2^53, where every whole number is exact.
    ///
    /// NaN and the infinities, for which JSON has no number, become `null`, as in ECMAScript's `JSON.stringify`: a sum
    /// out of range is "not known", not a reason to stop.
    package init(_ number: Double) {
        self = number.isFinite ? number.wholeWithin53Bits.map(JSONValue.integer) ?? .number(number) : .null
    }
}

// MARK: - Reading

extension JSONValue {
    package var isNull: Bool { if case .null = self { true } else { false } }

    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The number, if it is whole and fits.
    package var int: Int64? {
        switch self {
        case .integer(let value): value
        case .number(let value): value.canonicalInteger
        default: nil
        }
    }

    /// A count: whole, and from 0 to 2^40. Nil for anything else.
    ///
    /// Sums of counts from a file stay within 64 bits: memory does not hold 2^23 such numbers.
    package var count: Int64? {
        guard let int, (0...1 << 40).contains(int) else { return nil }
        return int
    }

    /// The number, rounded to the nearest double if it is an integer beyond ±2^53.
    package var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    package var string: String? { if case .string(let value) = self { value } else { nil } }

    package var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }

    package var object: JSONObject? { if case .object(let value) = self { value } else { nil } }

    /// The member called `key`, or `nil` if there is none or this is not an object.
    package subscript(key: String) -> JSONValue? { object?[key] }

    /// The element at `index`, counted from 0, or `nil` if there is none or this is not an array.
    package subscript(index: Int) -> JSONValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }
}

// MARK: - Equality

extension JSONValue: Hashable {
    package static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.integer(let left), .integer(let right)): left == right
        case (.integer(let left), .number(let right)): left == right.canonicalInteger
        case (.number(let left), .integer(let right)): left.canonicalInteger == right
        // The zeros are equal here, and a NaN equals itself, as Hashable requires.
        case (.number(let left), .number(let right)): left == right || left.bitPattern == right.bitPattern
        case (.string(let left), .string(let right)): left.hasSameUTF8(as: right)
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)): left == right
        default: false
        }
    }

    package func hash(into hasher: inout Hasher) {
        switch self {
        case .null:
            hasher.combine(0)
        case .bool(let value):
            hasher.combine(value)
        case .integer(let value):
            hasher.combine(value)
        case .number(let value):
            if let integer = value.canonicalInteger {
                hasher.combine(integer)
            } else {
                hasher.combine(value.bitPattern)
            }
        // Equal UTF-8 means equal text for String's own hash, which is all that hashing needs.
        case .string(let value):
            hasher.combine(value)
        case .array(let value):
            hasher.combine(value)
        case .object(let value):
            hasher.combine(value)
        }
    }
}

// MARK: - Literals

// Not ExpressibleByNilLiteral: `object["key"] == nil` would then compare with a null.
extension JSONValue: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByStringLiteral, ExpressibleByStringInterpolation, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    package init(booleanLiteral value: Bool) { self = .bool(value) }

    package init(integerLiteral value: Int64) { self = .integer(value) }

    package init(floatLiteral value: Double) { self.init(value) }

    package init(stringLiteral value: String) { self = .string(value) }

    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

    /// Creates an object. A repeated key is a programming error and traps.
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(literal: elements))
    }
}
