import EnsignJSON
import EnsignModel

/// SplitMix64: the same numbers for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

func parse(_ text: String, maxDepth: Int = 64) throws(JSONError) -> JSONValue {
    try JSONParser.parse(Array(text.utf8), maxDepth: maxDepth)
}

func text(_ value: JSONValue) -> String {
    String(decoding: value.canonicalBytes(), as: UTF8.self)
}

/// A value with members, items and scalars of all kinds, at most `depth` deep.
func randomValue(depth: Int, using generator: inout SeededGenerator) -> JSONValue {
    switch Int.random(in: 0..<(depth > 0 ? 9 : 7), using: &generator) {
    case 0: return .null
    case 1: return .bool(.random(using: &generator))
    case 2: return .integer(.random(in: -10...10, using: &generator))
    case 3: return .integer(.random(in: .min ... .max, using: &generator))
    case 4:
        let number = Double(bitPattern: .random(in: .min ... .max, using: &generator))
        return number.isFinite ? JSONValue(number) : 0.5
    case 5, 6: return .string(randomString(using: &generator))
    case 7:
        return .array(
            (0..<Int.random(in: 0...4, using: &generator)).map { _ in randomValue(depth: depth - 1, using: &generator) }
        )
    default:
        return .object(
            JSONObject(
                (0..<Int.random(in: 0...4, using: &generator)).map { _ in
                    (randomString(using: &generator), randomValue(depth: depth - 1, using: &generator))
                }
            )
        )
    }
}

func randomString(using generator: inout SeededGenerator) -> String {
    let scalars: [Unicode.Scalar] = [
        "a", "b", "z", "0", " ", "\"", "\\", "/", "\n", "\u{0}", "\u{1f}", "\u{7f}", "é", "日", "\u{fb33}", "😀",
    ]
    var text = ""
    for _ in 0..<Int.random(in: 0...20, using: &generator) {
        text.unicodeScalars.append(scalars.randomElement(using: &generator) ?? "a")
    }
    return text
}
