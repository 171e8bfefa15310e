import EnsignModel

/// What is kept of one run.
struct RunState: Sendable {
    /// The bundle that it began with.
    let bundle: Digest
    /// The session's key that chose it, kept for the run.
    let key: String
    /// Milliseconds since 1970.
    let began: Int64
    private(set) var last: Int64
    /// Refused calls too.
    private(set) var steps: Int64 = 0
    private(set) var refusals: Int64 = 0
    /// Calls by what was called, with which arguments.
    private var same: [Mark: Int64] = [:]
    /// The last success of an operation with an argument; the operation alone has none.
    private var successes: [Success: Int64] = [:]

    private struct Success: Hashable, Sendable {
        var operation: String
        /// The argument's name and value.
        var argument: Mark?
    }

    /// How long after its last call a run is kept, in milliseconds; longer only while people are asked for one of its calls.
    static let kept: Int64 = 86_400_000
    /// Different calls that are remembered of a run. Beyond, what was called least is forgotten.
    static let mostCalls = 4_096
    static let mostSuccesses = 4_096

    init(bundle: Digest, key: String, began: Int64) {
        self.bundle = bundle
        self.key = key
        self.began = began
        last = began
    }

    // MARK: Asking

    func calls(_ call: Mark) -> Int64 { same[call] ?? 0 }

    /// When an operation succeeded last with an argument; nil for never.
    func success(of operation: String, with argument: Mark?) -> Int64? {
        successes[Success(operation: operation, argument: argument)]
    }

    // MARK: Events

    /// - Parameter time: Milliseconds since 1970.
    mutating func take(_ event: RunEvent, at time: Int64) {
        last = max(last, time)
        switch event {
        case .began: break
        case .call(let call, let isRefused):
            steps += 1
            if isRefused { refusals += 1 }
            same[call, default: 0] += 1
            if same.count > Self.mostCalls { same = Self.half(of: same) }
        case .success(let operation, let arguments):
            for argument in [nil] + arguments {
                let success = Success(operation: operation, argument: argument)
                successes[success] = max(successes[success] ?? .min, time)
            }
            if successes.count > Self.mostSuccesses { successes = Self.half(of: successes) }
        case .total(let moreSteps, let moreRefusals):
            steps = steps.adding(saturating: moreSteps)
            refusals = refusals.adding(saturating: moreRefusals)
        case .calls(let call, let count): same[call] = (same[call] ?? 0).adding(saturating: count)
        }
    }

    /// The half with the greater values.
    private static func half<Key: Hashable>(of counts: [Key: Int64]) -> [Key: Int64] {
        let kept = counts.sorted { $0.value > $1.value }.prefix(counts.count / 2)
        return Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
    }

    // MARK: Its file

    /// The bytes beyond which its file is made anew: at least twice what ``lines`` most often have, or each call would write all
    /// of them.
    var most: Int64 { max(EventFile.most, Int64(same.count + successes.count) * 256) }

    /// The lines that say the same, for a file that has grown long.
    var lines: [String] {
        var lines = [
            RunEvent.began(bundle, key: key).line(at: began),
            RunEvent.total(steps: steps, refusals: refusals).line(at: last),
        ]
        lines += same.map { RunEvent.calls($0.key, count: $0.value).line(at: last) }
        lines += successes.map { success, time in
            RunEvent.success(success.operation, arguments: success.argument.map { [$0] } ?? []).line(at: time)
        }
        return lines
    }
}
