package import EnsignModel

/// Groups samples into blocks of both variants, each variant's samples in their order of arrival.
///
/// The next stable samples are compared with the next canary samples, whichever came first. A block's size is chosen
/// before any of its values is seen, from how many samples of each variant arrive and wait, so a canary with 5 % of the
/// sessions meets 19 stable samples at a time. One side of a block is always a single sample.
///
/// Where a canary is to take (almost) all sessions, every second stable sample is laid by in time. Once the canary is
/// alone it meets those: each still counts once, and whether it is laid by does not depend on its value, so the bets
/// are as fair as before. They go in blocks of a sixteenth of what is left: large ones first, for a breakdown shows at
/// once then, and always one more.
struct SampleQueue: Sendable, Hashable {
    /// Values that wait for their block, oldest first. At most ``limit`` each.
    private(set) var stable: [Double] = []
    private(set) var canary: [Double] = []
    /// The number of samples of each variant in the next block.
    private(set) var stableCount = 1
    private(set) var canaryCount = 1
    /// Recent arrivals, older ones counting less and less.
    private(set) var stableRate = 0.0
    private(set) var canaryRate = 0.0
    /// Stable values that are laid by, oldest first. At most ``limit``.
    private(set) var reserve: [Double] = []
    /// Whether the next stable sample is laid by, if any is.
    private var laysNext = false
    /// Not part of the state: who asks knows it.
    var stage = CanaryStage.beside

    /// The most samples that wait. The oldest are dropped first: a canary is best compared with what ran at the same
    /// time.
    static let limit = 256
    /// The most samples of one variant in a block. More than this adds 3 % of information at most.
    static let largestBlock = 32.0
    private static let fading = 1.0 - 1.0 / 64.0

    init() {}

    /// Whether there is a block. What was laid by fills it up when the canary is alone.
    mutating func isReady() -> Bool {
        guard canary.count >= canaryCount else { return false }
        while stage == .alone, stable.count < stableCount, let value = reserve.popLast() { stable.append(value) }
        return stable.count >= stableCount
    }

    /// Lays a stable value by.
    mutating func lay(by value: Double) {
        reserve.append(value)
        if reserve.count > Self.limit { reserve.removeFirst() }
    }

    mutating func add(_ value: Double, _ variant: Variant) {
        if variant == .stable, stage == .toBeAlone {
            defer { laysNext.toggle() }
            if laysNext { return lay(by: value) }
        }
        stableRate *= Self.fading
        canaryRate *= Self.fading
        switch variant {
        case .stable:
            stableRate += 1
            stable.append(value)
            if stable.count > Self.limit { stable.removeFirst() }
        case .canary:
            canaryRate += 1
            canary.append(value)
            if canary.count > Self.limit { canary.removeFirst() }
        }
    }

    /// Removes the block and chooses the size of the next one.
    mutating func removeBlock() {
        stable.removeFirst(stableCount)
        canary.removeFirst(canaryCount)
        if stage == .alone, !reserve.isEmpty {
            stableCount = Swift.max(1, (stable.count + reserve.count) / 16)
            canaryCount = 1
            return
        }
        let stableShare = Double(stable.count) + stableRate
        let canaryShare = Double(canary.count) + canaryRate
        func size(_ large: Double, _ small: Double) -> Int {
            // Rounded down at .5, without libm.
            Int(Swift.min(large / Swift.max(small, 0.01), Self.largestBlock) + 0.499)
        }
        stableCount = Swift.max(1, stableShare > canaryShare ? size(stableShare, canaryShare) : 1)
        canaryCount = Swift.max(1, canaryShare > stableShare ? size(canaryShare, stableShare) : 1)
    }
}

extension SampleQueue {
    var json: JSONValue {
        [
            "stable": .doubles(stable), "canary": .doubles(canary),
            "sizes": .doubles([Double(stableCount), Double(canaryCount), stableRate, canaryRate]),
            "reserve": .doubles(reserve), "laysNext": .bool(laysNext),
        ]
    }

    init?(json: JSONValue) {
        guard let stable = json["stable"]?.doubles, let canary = json["canary"]?.doubles,
            let sizes = json["sizes"]?.doubles, sizes.count == 4,
            let reserve = json["reserve"]?.doubles, reserve.count <= Self.limit, let laysNext = json["laysNext"]?.bool,
            (1...Self.largestBlock + 1).contains(sizes[0]), (1...Self.largestBlock + 1).contains(sizes[1]),
            stable.count <= Self.limit, canary.count <= Self.limit, sizes[2] >= 0, sizes[3] >= 0
        else { return nil }
        self.stable = stable
        self.canary = canary
        stableCount = Int(sizes[0])
        canaryCount = Int(sizes[1])
        stableRate = sizes[2]
        canaryRate = sizes[3]
        self.reserve = reserve
        self.laysNext = laysNext
    }
}

/// How much of the stable version is left beside a canary.
package enum CanaryStage: Sendable, Hashable {
    /// Enough, now and later.
    case beside
    /// Enough now; hardly any in a later step.
    case toBeAlone
    /// Hardly any, or none.
    case alone

    /// Above this weight, in per cent, a canary is alone: fewer than one session in ten shows what stable does.
    static let most: Int64 = 90

    /// - Parameters:
    ///   - weight: The canary's present weight in per cent.
    ///   - steps: All of its steps.
    package init(weight: Int64, steps: [Canary.Step]) {
        self =
            weight > Self.most ? .alone : steps.contains { $0.weight > Self.most } ? .toBeAlone : .beside
    }
}

extension JSONValue {
    /// Finite numbers; they read back bit for bit, except for the sign of zero.
    static func doubles(_ values: [Double]) -> JSONValue { .array(values.map { JSONValue($0) }) }

    var doubles: [Double]? {
        guard let array else { return nil }
        let values = array.compactMap(\.double)
        return values.count == array.count ? values : nil
    }
}
