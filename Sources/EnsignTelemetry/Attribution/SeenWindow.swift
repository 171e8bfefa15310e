import EnsignModel

/// The newest span ids, so that a span which a retrying exporter wrote twice counts once.
struct SeenWindow: Sendable {
    private var keys: Set<UInt64> = []
    private var order = Queue<UInt64>()
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// - Returns: False if the key is among the newest.
    mutating func insert(_ key: UInt64) -> Bool {
        guard keys.insert(key).inserted else { return false }
        order.append(key)
        if order.count > limit, let oldest = order.removeFirst() { keys.remove(oldest) }
        return true
    }

    /// A key of ids and a kind: 64 bits, of which two in a window of 65,536 are equal once in some 10^10 windows.
    static func key(_ trace: TraceID, _ span: SpanID, _ kind: UInt64 = 0) -> UInt64 {
        var word = trace.high
        for next in [trace.low, span, kind] { word = mix(word) &+ next }
        return mix(word)
    }

    /// The finalizer of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
    private static func mix(_ word: UInt64) -> UInt64 {
        var word = word &+ 0x9E37_79B9_7F4A_7C15
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    /// The keys, oldest first, 16 hexadecimal digits each.
    var text: String {
        let digits = Array("0123456789abcdef".utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(order.count * 16)
        for key in order.all {
            for shift in stride(from: UInt64(60), through: 0, by: -4) {
                bytes.append(digits[Int(key >> shift & 0xF)])
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    init?(text: String, limit: Int) {
        self.init(limit: limit)
        var key: UInt64 = 0
        var count = 0
        for byte in text.utf8 {
            guard let digit = hexDigit(byte) else { return nil }
            key = key << 4 | UInt64(digit)
            count += 1
            if count.isMultiple(of: 16) { _ = insert(key) }
        }
        guard count.isMultiple(of: 16) else { return nil }
    }
}
