import Foundation

/// SplitMix64: the same numbers for the same seed. ENSIGN_TEST_SEED in the environment repeats a run.
struct SeededGenerator: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    /// Takes the seed from the environment, else a new one, and prints it.
    init(for test: String) {
        let given = ProcessInfo.processInfo.environment["ENSIGN_TEST_SEED"].flatMap { UInt64($0) }
        seed = given ?? .random(in: 0...UInt64.max)
        state = seed
        print("\(test): ENSIGN_TEST_SEED=\(seed)")
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

extension [UInt8] {
    /// Changes this in one to three ways: a bit flipped, a byte replaced, removed or added, the end cut off, a part
    /// doubled.
    func mutated(using generator: inout SeededGenerator) -> [UInt8] {
        var bytes = self
        for _ in 0..<Int.random(in: 1...3, using: &generator) where !bytes.isEmpty {
            let index = bytes.indices.randomElement(using: &generator) ?? 0
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: bytes[index] = .random(in: .min ... .max, using: &generator)
            case 2: bytes.remove(at: index)
            case 3: bytes.insert(.random(in: .min ... .max, using: &generator), at: index)
            case 4: bytes.removeSubrange(index...)
            default: bytes.insert(contentsOf: bytes[index...].prefix(40), at: index)
            }
        }
        return bytes
    }
}
