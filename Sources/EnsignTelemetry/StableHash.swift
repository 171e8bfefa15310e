/// FNV-1a with 64 bits, the same in every process: what is kept in cursors and states.
///
/// Source: the IETF draft "The FNV Non-Cryptographic Hash Algorithm" (draft-eastlake-fnv), section 2. Not for anything
/// that an adversary must not forge: here a forged collision only spoils the forger's own evidence.
struct StableHash: Sendable, Hashable {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    @inline(__always)
    mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }

    mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { add(byte) }
    }

    mutating func add(_ word: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { add(UInt8(truncatingIfNeeded: word >> shift)) }
    }

    static func of(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash = StableHash()
        hash.add(bytes)
        return hash.value
    }
}
