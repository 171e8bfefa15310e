import EnsignJSON
import EnsignModel

/// What is kept of one run.
struct RunState: Sendable {
    /// The bundle that it began with.
    var bundle: Digest
    /// The session's key that chose it, kept for the run.
    var key: String
    /// Milliseconds since 1970.
    var began: Int64
    var last: Int64
    /// Refused calls too.
    var steps: Int64 = 0
    var refusals: Int64 = 0
    /// Calls by what was called, with which arguments.
    var same: [String: Int64] = [:]
    /// The last success of an operation with an argument; the operation alone has an empty one.
    var successes: [Success: Int64] = [:]

    struct Success: Hashable, Sendable {
        var operation: String
        /// A fingerprint of the argument's name and value; empty without one.
        var argument: String
    }

    /// Different calls that are remembered of a run. Beyond, what was called least is forgotten.
    static let mostCalls = 4_096
    static let mostSuccesses = 4_096

    init(bundle: Digest, key: String, began: Int64) {
        self.bundle = bundle
        self.key = key
        self.began = began
        last = began
    }

    // MARK: Lines

    /// The first line of a run's file.
    static func beginning(_ bundle: Digest, _ key: String, at now: Int64) -> String {
        "b \(now) \(bundle.hex) \(JSONValue.string(key).text)"
    }

    /// Reads the first line; nil for anything else.
    init?(beginning line: Substring) {
        let parts = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "b", let began = Int64(parts[1]), let bundle = Digest(hex: parts[2]),
            let key = Self.key(parts[3])
        else { return nil }
        self.init(bundle: bundle, key: key, began: began)
    }

    static func call(_ fingerprint: String, refused: Bool, at now: Int64) -> String {
        "\(refused ? "r" : "c") \(now) \(fingerprint)"
    }

    static func success(_ operation: String, _ arguments: [String], at now: Int64) -> String {
        (["s", "\(now)", operation] + arguments).joined(separator: " ")
    }

    /// Takes a line; one that is not understood changes nothing.
    mutating func take(_ line: some StringProtocol) {
        let parts = String(line).split(separator: " ", omittingEmptySubsequences: false).map { String($0) }
        guard parts.count >= 3, let time = Int64(parts[1]) else { return }
        last = max(last, time)
        switch parts[0] {
        case "c", "r":
            steps += 1
            if parts[0] == "r" { refusals += 1 }
            same[parts[2], default: 0] += 1
            if same.count > Self.mostCalls { same = Self.half(of: same) }
        case "s":
            let operation = parts[2]
            for argument in [""] + Array(parts.dropFirst(3)) {
                let success = Success(operation: operation, argument: argument)
                successes[success] = max(successes[success] ?? .min, time)
            }
            if successes.count > Self.mostSuccesses { successes = Self.half(of: successes) }
        case "t":
            // What was forgotten of a longer file: steps, refusals.
            steps += Int64(parts[2]) ?? 0
            refusals += parts.count > 3 ? Int64(parts[3]) ?? 0 : 0
        case "m":
            if parts.count > 3, let count = Int64(parts[3]) { same[parts[2], default: 0] += count }
        default: break
        }
    }

    /// The half with the greater values.
    private static func half<Key: Hashable>(of counts: [Key: Int64]) -> [Key: Int64] {
        let kept = counts.sorted { $0.value > $1.value }.prefix(counts.count / 2)
        return Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
    }

    /// The lines that say the same, for a file that has grown long.
    var lines: [String] {
        [Self.beginning(bundle, key, at: began), "t \(last) \(steps) \(refusals)"]
            + same.map { "m \(last) \($0.key) \($0.value)" }
            + successes.map { success, time in
                Self.success(success.operation, success.argument.isEmpty ? [] : [success.argument], at: time)
            }
    }

    /// A key that was written as a JSON text.
    private static func key(_ text: Substring) -> String? {
        (try? JSONParser.parse(Array(text.utf8)))?.string
    }
}
