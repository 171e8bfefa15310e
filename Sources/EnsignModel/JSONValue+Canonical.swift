extension JSONValue {
    /// Returns this value's only canonical form (RFC 8785): sorted keys, no whitespace, ECMAScript's numbers, as UTF-8.
    ///
    /// Integers beyond ±2^53 keep all their digits. A number that is not finite is written as `null`.
    package func canonicalBytes() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        appendCanonical(to: &bytes)
        return bytes
    }

    /// Appends what ``canonicalBytes()`` returns.
    package func appendCanonical(to bytes: inout [UInt8]) {
        switch self {
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            var isFirst = true
            for element in elements {
                if !isFirst { bytes.append(UInt8(ascii: ",")) }
                isFirst = false
                element.appendCanonical(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            var isFirst = true
            for (key, value) in members {
                if !isFirst { bytes.append(UInt8(ascii: ",")) }
                isFirst = false
                JSONValue.appendCanonical(key, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                value.appendCanonical(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        default:
            appendScalar(to: &bytes)
        }
    }

    /// Returns the value for people: sorted keys, indented by two spaces, without a newline at the end.
    package func prettyBytes() -> [UInt8] {
        var bytes: [UInt8] = []
        appendPretty(to: &bytes, indent: 0)
        return bytes
    }

    private func appendPretty(to bytes: inout [UInt8], indent: Int) {
        func startLine(_ indent: Int, to bytes: inout [UInt8]) {
            bytes.append(UInt8(ascii: "\n"))
            bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: indent))
        }
        switch self {
        case .array(let elements) where !elements.isEmpty:
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                startLine(indent + 2, to: &bytes)
                element.appendPretty(to: &bytes, indent: indent + 2)
            }
            startLine(indent, to: &bytes)
            bytes.append(UInt8(ascii: "]"))
        case .object(let members) where !members.isEmpty:
            bytes.append(UInt8(ascii: "{"))
            for (index, (key, value)) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                startLine(indent + 2, to: &bytes)
                JSONValue.appendCanonical(key, to: &bytes)
                bytes.append(contentsOf: ": ".utf8)
                value.appendPretty(to: &bytes, indent: indent + 2)
            }
            startLine(indent, to: &bytes)
            bytes.append(UInt8(ascii: "}"))
        default:
            appendCanonical(to: &bytes)
        }
    }

    private func appendScalar(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): bytes.appendDigits(of: value)
        case .number(let value): JSONValue.appendCanonical(value, to: &bytes)
        case .string(let value): JSONValue.appendCanonical(value, to: &bytes)
        case .array, .object: preconditionFailure("a container is not a scalar")
        }
    }
}

// MARK: - Strings

extension JSONValue {
    /// Appends a string in quotes, escaped as RFC 8785, section 3.2.2.2 says.
    package static func appendCanonical(_ string: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        let done: Void? = unsafe string.utf8.withContiguousStorageIfAvailable { utf8 in
            if unsafe utf8.contains(where: \.mustBeEscaped) {
                unsafe appendEscaped(utf8, to: &bytes)
            } else {
                unsafe bytes.append(contentsOf: utf8)
            }
        }
        if done == nil { appendEscaped(string.utf8, to: &bytes) }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func appendEscaped(_ utf8: some Sequence<UInt8>, to bytes: inout [UInt8]) {
        for byte in utf8 {
            guard byte.mustBeEscaped else {
                bytes.append(byte)
                continue
            }
            bytes.append(UInt8(ascii: "\\"))
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
            case 0x08: bytes.append(UInt8(ascii: "b"))
            case 0x09: bytes.append(UInt8(ascii: "t"))
            case 0x0A: bytes.append(UInt8(ascii: "n"))
            case 0x0C: bytes.append(UInt8(ascii: "f"))
            case 0x0D: bytes.append(UInt8(ascii: "r"))
            default:
                bytes.append(contentsOf: byte < 0x10 ? "u000".utf8 : "u001".utf8)
                let digit = byte & 0x0F
                bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            }
        }
    }
}

extension UInt8 {
    var mustBeEscaped: Bool { self < 0x20 || self == UInt8(ascii: "\"") || self == UInt8(ascii: "\\") }
}

// MARK: - Numbers

extension JSONValue {
    /// Appends a number as ECMAScript's `Number::toString` writes it (RFC 8785, section 3.2.2.3).
    package static func appendCanonical(_ number: Double, to bytes: inout [UInt8]) {
        guard number.isFinite else { return bytes.append(contentsOf: "null".utf8) }
        if let whole = number.wholeWithin53Bits {
            bytes.appendDigits(of: whole)
            return
        }
        let decimal = ShortestDecimal(number)
        let digits = String(decimal.significand).utf8
        // ECMA-262, Number::toString: the value is 0.<digits> x 10^point.
        let point = digits.count + decimal.exponent
        if number < 0 { bytes.append(UInt8(ascii: "-")) }
        switch point {
        case digits.count...max(digits.count, 21) where point <= 21:
            bytes.append(contentsOf: digits)
            bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: point - digits.count))
        case 1...21:
            bytes.append(contentsOf: digits.prefix(point))
            bytes.append(UInt8(ascii: "."))
            bytes.append(contentsOf: digits.dropFirst(point))
        case -5...0:
            bytes.append(contentsOf: "0.".utf8)
            bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: -point))
            bytes.append(contentsOf: digits)
        default:
            bytes.append(contentsOf: digits.prefix(1))
            if digits.count > 1 {
                bytes.append(UInt8(ascii: "."))
                bytes.append(contentsOf: digits.dropFirst())
            }
            bytes.append(contentsOf: point > 0 ? "e+".utf8 : "e-".utf8)
            bytes.appendDigits(of: Int64(abs(point - 1)))
        }
    }
}

extension Double {
    /// The same number as an integer, if it is whole and within ±2^53.
    var wholeWithin53Bits: Int64? {
        guard magnitude <= 0x1p53 else { return nil }
        // Avoids `rounded(_:)` and `init(exactly:)`, which would need libm.
        let whole = Int64(self)
        return Double(whole) == self ? whole : nil
    }

    /// The integer that has the same canonical form, if there is one in 64 bits.
    ///
    /// Beyond 2^53 it may differ from the exact value: the canonical form has the shortest digits, then zeros.
    var canonicalInteger: Int64? {
        if let whole = wholeWithin53Bits { return whole }
        guard magnitude < 0x1p64, magnitude > 0x1p53 else { return nil }
        let decimal = ShortestDecimal(self)
        var value: Int64? = Int64(exactly: decimal.significand)
        for _ in 0..<Swift.max(decimal.exponent, 0) {
            guard let (product, overflow) = value?.multipliedReportingOverflow(by: 10), !overflow else { return nil }
            value = product
        }
        return value.map { self < 0 ? -$0 : $0 }
    }
}

/// The decimal with the fewest digits that reads back as a double, and of those the nearest.
///
/// Swift's `description` has exactly these digits; only its notation differs from ECMAScript's.
private struct ShortestDecimal {
    /// Without trailing zeros.
    var significand: UInt64 = 0
    /// The magnitude is `significand` times 10 to the power of this.
    var exponent = 0

    /// - Parameter number: Finite and not zero.
    init(_ number: Double) {
        var isFraction = false
        var isExponent = false
        var isNegativeExponent = false
        var written = 0
        for byte in number.magnitude.description.utf8 {
            switch byte {
            case UInt8(ascii: "."): isFraction = true
            case UInt8(ascii: "e"): isExponent = true
            case UInt8(ascii: "-"): isNegativeExponent = true
            case UInt8(ascii: "+"): break
            default:
                let digit = Int(byte - UInt8(ascii: "0"))
                if isExponent {
                    written = written * 10 + digit
                } else {
                    significand = significand * 10 + UInt64(digit)
                    if isFraction { exponent -= 1 }
                }
            }
        }
        exponent += isNegativeExponent ? -written : written
        while significand.isMultiple(of: 10) && significand > 0 {
            significand /= 10
            exponent += 1
        }
    }
}

extension [UInt8] {
    fileprivate mutating func appendDigits(of value: Int64) {
        if value >= 0 && value < 10 {
            append(UInt8(ascii: "0") + UInt8(value))
        } else {
            append(contentsOf: String(value).utf8)
        }
    }
}

extension JSONValue {
    /// Canonical JSON as text.
    package var text: String { String(decoding: canonicalBytes(), as: UTF8.self) }
}
