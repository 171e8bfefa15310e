import Foundation

/// SplitMix64: the same numbers for the same seed, everywhere.
///
/// Tests run with a fixed seed; `ENSIGN_TEST_SEED` in the environment tries another one.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    package let seed: UInt64
    private var state: UInt64

    package init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// Takes the seed from the environment, else `standard`, and prints it.
    package init(for test: String, standard: UInt64) {
        let given = ProcessInfo.processInfo.environment["ENSIGN_TEST_SEED"].flatMap { UInt64($0) }
        self.init(seed: given ?? standard)
        print("\(test): ENSIGN_TEST_SEED=\(seed)")
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    package mutating func int(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &self) }

    /// True once in `n` times.
    package mutating func once(in n: Int) -> Bool { int(1...n) == 1 }

    package mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[int(0...elements.count - 1)]
    }
}

/// How many times longer than usual to search for violations: `ENSIGN_TEST_ROUNDS` in the environment.
private let effort = max(ProcessInfo.processInfo.environment["ENSIGN_TEST_ROUNDS"].flatMap { Int($0) } ?? 1, 1)

/// The rounds of a random property.
package func rounds(_ standard: Int) -> Range<Int> { 0..<standard * effort }

/// Whether a combination is tried; usually one in `count` is.
package func isTried(_ combination: Int, oneIn count: Int) -> Bool { combination % max(count / effort, 1) == 0 }

extension [UInt8] {
    /// This text with one to four errors: a bit flipped, bytes removed, doubled or moved, or one of some hostile texts
    /// put in.
    package func mutated(_ random: inout SeededGenerator, hostile: [String]) -> [UInt8] {
        var bytes = self
        for _ in 0..<random.int(1...4) where !bytes.isEmpty {
            let index = random.int(0...bytes.count - 1)
            let end = Swift.min(bytes.count, index + random.int(1...20))
            switch random.int(0...7) {
            case 0: bytes[index] ^= 1 << UInt8(random.int(0...7))
            case 1: bytes[index] = UInt8(random.int(0...255))
            case 2: bytes.removeSubrange(index..<end)
            case 3: bytes.insert(contentsOf: bytes[index..<end], at: index)
            case 4: bytes.insert(contentsOf: bytes[index..<end], at: random.int(0...bytes.count))
            case 5: bytes.removeSubrange(index...)
            default: bytes.insert(contentsOf: Array(random.pick(hostile).utf8), at: index)
            }
        }
        return bytes
    }
}
