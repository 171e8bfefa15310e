import EnsignModel

/// A logarithm to base 2, linear between powers of two: exact arithmetic on every machine, no libm.
enum Level {
    /// - Parameter value: 0 or more, finite. Values below 2^-40 count as 2^-40.
    static func of(_ value: Double) -> Double {
        guard value > 0x1p-40 else { return -40 }
        return Double(value.exponent) + (value.significand - 1)
    }

    static func value(_ level: Double) -> Double {
        var exponent = Int(level)
        if Double(exponent) > level { exponent -= 1 }
        return Double(sign: .plus, exponent: exponent, significand: 1 + (level - Double(exponent)))
    }
}

/// How often each size occurred: zero, and eight bins in each octave. At most 800 bins.
struct LevelHistogram: Sendable, Hashable {
    private(set) var zeros = 0.0
    private(set) var total = 0.0
    /// The first bin's number: the level of its lower edge in eighths.
    private var first = 0
    private var counts: [Double] = []
    /// The largest value. 0 when there is none.
    private(set) var largest = 0.0

    init() {}

    /// - Parameter value: 0 or more, at most 10^15.
    mutating func add(_ value: Double) {
        total += 1
        largest = Swift.max(largest, value)
        guard value > 0 else {
            zeros += 1
            return
        }
        let bin = Int((Level.of(value) + 64) * 8) - 512
        if counts.isEmpty {
            first = bin
            counts = [0]
        } else if bin < first {
            counts.insert(contentsOf: repeatElement(0, count: first - bin), at: 0)
            first = bin
        } else if bin >= first + counts.count {
            counts.append(contentsOf: repeatElement(0, count: bin - first - counts.count + 1))
        }
        counts[bin - first] += 1
    }

    /// The upper edge of the bin where the share is reached; 0 if zeros reach it.
    func quantile(_ share: Double) -> Double {
        var rest = share * total - zeros
        guard rest > 0 else { return 0 }
        for (index, count) in counts.enumerated() {
            rest -= count
            if rest <= 0 { return Level.value(Double(first + index + 1) / 8) }
        }
        return largest
    }

    /// The lower edge of the lowest bin; 1 when there is none.
    var smallestPositive: Double { counts.isEmpty ? 1 : Level.value(Double(first) / 8) }

    /// The number of values above an edge from ``quantile(_:)``.
    func count(above edge: Double) -> Double {
        var sum = 0.0
        for (index, count) in counts.enumerated() where Level.value(Double(first + index) / 8) >= edge { sum += count }
        return sum
    }

    /// Mean and variance of a score.
    func moments(_ score: (Double) -> Double) -> (mean: Double, variance: Double) {
        var sum = zeros * score(0)
        var squares = zeros * score(0) * score(0)
        for (index, count) in counts.enumerated() where count > 0 {
            let value = score(Level.value((Double(first + index) + 0.5) / 8))
            sum += count * value
            squares += count * value * value
        }
        let mean = sum / Swift.max(total, 1)
        return (mean, Swift.max(squares / Swift.max(total, 1) - mean * mean, 0))
    }
}

extension LevelHistogram {
    var json: JSONValue {
        [
            "zeros": JSONValue(zeros), "largest": JSONValue(largest), "first": .integer(Int64(first)),
            "counts": .doubles(counts),
        ]
    }

    init?(json: JSONValue) {
        guard let zeros = json["zeros"]?.double, let largest = json["largest"]?.double, let first = json["first"]?.int,
            let counts = json["counts"]?.doubles, counts.count <= 1024, (-512...512).contains(first)
        else { return nil }
        self.zeros = zeros
        self.largest = largest
        self.first = Int(first)
        self.counts = counts
        total = counts.reduce(zeros, +)
    }
}
