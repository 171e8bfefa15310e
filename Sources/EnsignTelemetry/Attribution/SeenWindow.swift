import EnsignModel

/// The newest span ids, so that a span which a retrying exporter wrote twice counts once.
struct SeenWindow: Sendable {
    /// Of a span or an evaluation, in one folder: what is in another folder is another one.
    struct Key: Sendable, Hashable {
        var word: UInt64
        var folder: UInt64 = 0
    }

    private var keys: Set<Key> = []
    private var order = Queue<Key>()
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// - Returns: False if the key is among the newest.
    mutating func insert(_ key: Key) -> Bool {
        guard keys.insert(key).inserted else { return false }
        order.append(key)
        if order.count > limit, let oldest = order.removeFirst() { keys.remove(oldest) }
        return true
    }

    /// A key of ids and a kind: 64 bits, of which two in a window of 65,536 are equal once in some 10^10 windows.
    static func key(_ trace: TraceID, _ span: SpanID, _ kind: UInt64 = 0, folder: UInt64 = 0) -> Key {
        var word = trace.high
        for next in [trace.low, span, kind] { word = mix(word) &+ next }
        return Key(word: mix(word), folder: folder)
    }

    /// The finalizer of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
    private static func mix(_ word: UInt64) -> UInt64 {
        var word = word &+ 0x9E37_79B9_7F4A_7C15
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    /// The keys, oldest first, 16 hexadecimal digits each; behind one of a folder, a colon and the folder's 16 digits.
    var text: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(order.count * 16)
        for key in order.all {
            Self.append(key.word, to: &bytes)
            guard key.folder != 0 else { continue }
            bytes.append(UInt8(ascii: ":"))
            Self.append(key.folder, to: &bytes)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func append(_ word: UInt64, to bytes: inout [UInt8]) {
        for shift in stride(from: UInt64(60), through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: word >> shift & 0xF)
            bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }

    init?(text: String, limit: Int) {
        self.init(limit: limit)
        var bytes = Array(text.utf8)[...]
        func word() -> UInt64? {
            guard bytes.count >= 16 else { return nil }
            var word: UInt64 = 0
            for byte in bytes.prefix(16) {
                guard let digit = hexDigit(byte) else { return nil }
                word = word << 4 | UInt64(digit)
            }
            bytes = bytes.dropFirst(16)
            return word
        }
        while !bytes.isEmpty {
            guard let first = word() else { return nil }
            var key = Key(word: first)
            if bytes.first == UInt8(ascii: ":") {
                bytes = bytes.dropFirst()
                guard let folder = word() else { return nil }
                key.folder = folder
            }
            _ = insert(key)
        }
    }
}
