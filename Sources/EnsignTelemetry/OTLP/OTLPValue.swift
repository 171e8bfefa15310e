import EnsignJSON
import EnsignModel

/// The scalars of an OTLP `AnyValue` (opentelemetry/proto/common/v1/common.proto).
enum OTLPScalar {
    case text(JSONScanner.Text)
    case integer(Int64)
    case number(Double)
    case bool(Bool)
    /// An array, a list of pairs, bytes, or nothing.
    case other
}

extension JSONScanner {
    /// Reads an `AnyValue`: an object with one member, named for the kind of value.
    mutating func otlpScalar() throws(MalformedJSON) -> OTLPScalar {
        var result = OTLPScalar.other
        guard peek() == UInt8(ascii: "{") else {
            try skip()
            return result
        }
        try beginObject()
        var isFirst = true
        while let key = try nextKey(&isFirst) {
            let next = peek()
            if equals(key, "stringValue"), next == UInt8(ascii: "\"") {
                result = .text(try text())
            } else if equals(key, "intValue") {
                result = try otlpInteger().map { .integer($0) } ?? .number(.nan)
            } else if equals(key, "doubleValue") {
                result = .number(try otlpNumber() ?? .nan)
            } else if equals(key, "boolValue"), next == UInt8(ascii: "t") || next == UInt8(ascii: "f") {
                result = .bool(equals(try word(), "true"))
            } else {
                try skip()
            }
        }
        return result
    }

    /// Reads a 64-bit integer, as a string (protobuf's JSON mapping) or a number; nil for anything else.
    mutating func otlpInteger() throws(MalformedJSON) -> Int64? {
        guard let next = peek() else { return nil }
        let digits: Text
        switch next {
        case UInt8(ascii: "\""): digits = try text()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): digits = try word()
        default:
            try skip()
            return nil
        }
        return integer(digits)
    }

    /// The longest number that is read: a time as a double with all of its digits has fewer characters.
    private static let longestNumber = 64

    private func integer(_ digits: Text) -> Int64? {
        guard (1...Self.longestNumber).contains(digits.count) else { return nil }
        guard !digits.hasEscapes else { return whole(string(digits)) }
        var value: Int64 = 0
        let isNegative = byte(digits, at: 0) == UInt8(ascii: "-")
        let first = isNegative ? 1 : 0
        guard digits.count > first else { return nil }
        for offset in first..<digits.count {
            let digit = byte(digits, at: offset)
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else {
                return whole(string(digits))
            }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowed) = product.subtractingReportingOverflow(Int64(digit - UInt8(ascii: "0")))
            // What follows may make it smaller again.
            guard !overflow, !overflowed else { return whole(string(digits)) }
            value = sum
        }
        if isNegative { return value }
        return value == .min ? nil : -value
    }

    /// A whole number in any way of writing it: `12`, `012`, and 1e3 or 12.0, which some writers use. Digit by digit: a double
    /// has no room for a time.
    private func whole(_ text: String) -> Int64? {
        guard decimal(text) != nil else { return nil }
        let parts = text.split(omittingEmptySubsequences: false) { $0 == "e" || $0 == "E" }
        let halves = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        guard let power = parts.count == 1 ? 0 : Int(parts[1]), power.magnitude <= 1_000 else { return nil }
        var digits = halves.joined()
        var zeros = power - (halves.count == 2 ? halves[1].utf8.count : 0)
        while zeros < 0, digits.last == "0" {
            digits.removeLast()
            zeros += 1
        }
        guard digits.contains(where: { $0 != "0" && $0 != "-" }) else { return 0 }
        // More than an Int64 can hold.
        guard (0...20).contains(zeros) else { return nil }
        return Int64(digits + String(repeating: "0", count: zeros))
    }

    /// A number as JSON writes it. Swift reads more: `0x64` and `inf` are not numbers here.
    private func decimal(_ text: String) -> Double? {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
                UInt8(ascii: "e"), UInt8(ascii: "E"):
                true
            default: false
            }
        }
        return isPlain && !text.hasPrefix("+") ? Double(text) : nil
    }

    /// Reads a double, which may be written as a string: `"NaN"`, `"Infinity"`, `"-Infinity"`.
    mutating func otlpNumber() throws(MalformedJSON) -> Double? {
        guard let next = peek() else { return nil }
        let word: Text
        switch next {
        case UInt8(ascii: "\""): word = try text()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): word = try self.word()
        default:
            try skip()
            return nil
        }
        guard word.count <= Self.longestNumber else { return nil }
        switch string(word) {
        case "NaN": return .nan
        case "Infinity": return .infinity
        case "-Infinity": return -.infinity
        case let text: return decimal(text)
        }
    }

    /// Reads `AnyValue` as plain JSON: lists of pairs become objects, bytes stay base64 text.
    mutating func otlpJSON(depth: Int = 0) throws(MalformedJSON) -> JSONValue {
        guard depth < 32 else { throw MalformedJSON(offset: index) }
        var result = JSONValue.null
        try beginObject()
        var isFirst = true
        while let key = try nextKey(&isFirst) {
            if equals(key, "stringValue") || equals(key, "bytesValue"), peek() == UInt8(ascii: "\"") {
                result = .string(string(try text()))
            } else if equals(key, "intValue") {
                result = try otlpInteger().map { .integer($0) } ?? .null
            } else if equals(key, "doubleValue") {
                let number = try otlpNumber() ?? .nan
                result = number.isFinite ? JSONValue(number) : .string("\(number)")
            } else if equals(key, "boolValue"), peek() != UInt8(ascii: "\"") {
                result = .bool(equals(try word(), "true"))
            } else if equals(key, "arrayValue") {
                result = .array(try otlpElements(depth: depth))
            } else if equals(key, "kvlistValue") {
                result = .object(try otlpMembers(depth: depth))
            } else {
                try skip()
            }
        }
        return result
    }

    private mutating func otlpElements(depth: Int) throws(MalformedJSON) -> [JSONValue] {
        var elements: [JSONValue] = []
        try beginObject()
        var isFirst = true
        while let key = try nextKey(&isFirst) {
            guard equals(key, "values"), peek() == UInt8(ascii: "[") else {
                try skip()
                continue
            }
            try beginArray()
            var isFirstElement = true
            while try nextElement(&isFirstElement) { elements.append(try otlpJSON(depth: depth + 1)) }
        }
        return elements
    }

    private mutating func otlpMembers(depth: Int) throws(MalformedJSON) -> JSONObject {
        var members: [(String, JSONValue)] = []
        try beginObject()
        var isFirst = true
        while let key = try nextKey(&isFirst) {
            guard equals(key, "values"), peek() == UInt8(ascii: "[") else {
                try skip()
                continue
            }
            try beginArray()
            var isFirstElement = true
            while try nextElement(&isFirstElement) {
                var name = ""
                var value = JSONValue.null
                try beginObject()
                var isFirstMember = true
                while let member = try nextKey(&isFirstMember) {
                    if equals(member, "key"), peek() == UInt8(ascii: "\"") {
                        name = string(try text())
                    } else if equals(member, "value"), peek() == UInt8(ascii: "{") {
                        value = try otlpJSON(depth: depth + 1)
                    } else {
                        try skip()
                    }
                }
                members.append((name, value))
            }
        }
        return JSONObject(members)
    }

    /// Reads an id of 8 or 16 bytes, in hexadecimal (OTLP) or base64 (protobuf's own JSON); nil for anything else.
    mutating func otlpID(bytes count: Int) throws(MalformedJSON) -> (high: UInt64, low: UInt64)? {
        guard peek() == UInt8(ascii: "\"") else {
            try skip()
            return nil
        }
        let text = try text()
        if !text.hasEscapes, text.count == count * 2 { return hexadecimal(text.count) { byte(text, at: $0) } }
        // Any character may be escaped, a slash sometimes is.
        let characters = text.hasEscapes ? Array(string(text).utf8) : (0..<text.count).map { byte(text, at: $0) }
        return characters.count == count * 2
            ? hexadecimal(characters.count) { characters[$0] } : base64(characters, bytes: count)
    }

    private func hexadecimal(_ count: Int, _ character: (Int) -> UInt8) -> (high: UInt64, low: UInt64)? {
        var high: UInt64 = 0
        var low: UInt64 = 0
        for offset in 0..<count {
            guard let digit = hexDigit(character(offset)) else { return nil }
            high = high << 4 | low >> 60
            low = low << 4 | UInt64(digit)
        }
        return (high, low)
    }

    private func base64(_ text: [UInt8], bytes count: Int) -> (high: UInt64, low: UInt64)? {
        var characters = text
        while characters.last == UInt8(ascii: "=") { characters.removeLast() }
        guard characters.count == (count * 8 + 5) / 6 else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        var spare = characters.count * 6 - count * 8
        for (index, character) in characters.enumerated() {
            let value: UInt8
            switch character {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = character - UInt8(ascii: "A")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = character - UInt8(ascii: "a") + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - UInt8(ascii: "0") + 52
            case UInt8(ascii: "+"), UInt8(ascii: "-"): value = 62
            case UInt8(ascii: "/"), UInt8(ascii: "_"): value = 63
            default: return nil
            }
            let width = index == characters.count - 1 ? 6 - spare : 6
            if index == characters.count - 1 {
                guard value & (UInt8(1) << UInt8(spare) - 1) == 0 else { return nil }
                spare = 6 - width
            }
            high = high << UInt64(width) | low >> UInt64(64 - width)
            low = low << UInt64(width) | UInt64(value >> UInt8(6 - width))
        }
        return (high, low)
    }
}
