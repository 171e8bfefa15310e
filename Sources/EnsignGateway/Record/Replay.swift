import EnsignCrypto
import EnsignJSON
package import EnsignModel
import EnsignPolicy
import EnsignSystem

/// Decides recorded calls again, from the bundles that they name: the same pure decision, held against what was written.
///
/// What depends on more than bundle, arguments and day (counts, people, servers) is not decided again, and counted.
package struct Replay: Sendable {
    /// A line whose verdict does not follow from what it names.
    package struct Difference: Sendable, Hashable {
        package var file: String
        /// Counted from 1.
        package var line: Int
        package var sequence: Int64
        package var recorded: String
        package var decided: String
    }

    /// Why a line was not decided again.
    package enum Gap: String, Sendable, Hashable, CaseIterable {
        /// Its bundle is not in the live directory.
        case bundle
        /// Its arguments are not at hand: the log keeps only their HMAC.
        case arguments
        /// It was refused for what is counted, agreed to, offered or reachable.
        case circumstances
    }

    /// Lines whose verdict is the same.
    package private(set) var same = 0
    package private(set) var gaps: [Gap: Int] = [:]
    /// At most ``mostDifferences`` of them are kept.
    package private(set) var differences: [Difference] = []
    package private(set) var different = 0
    /// Lines that are not verdicts.
    package private(set) var others = 0
    /// Lines that no gateway wrote like this. A file with ``mostUnreadable`` of them is not read any further.
    package private(set) var unreadable = 0

    package static let mostDifferences = 100
    package static let mostUnreadable = 1_000

    private let live: String
    private let secret: LogSecret?
    private let arguments: [String: JSONValue]
    private var bundles: [Digest: PreparedBundle?] = [:]

    /// - Parameters:
    ///   - live: A live directory, or a copy of one.
    ///   - arguments: Values that may have been arguments.
    ///   - secret: Of the log: without it no arguments can be recognised.
    package init(live: String, arguments: [JSONValue] = [], secret: LogSecret?) {
        self.live = live
        self.secret = secret
        var known: [String: JSONValue] = [:]
        if let secret {
            // No arguments are arguments that everybody knows.
            for value in arguments + [.object([:])] { known[secret.mac(ofArguments: value)] = value }
        }
        self.arguments = known
    }

    /// Decides all lines of a file.
    package mutating func take(_ file: String) throws(RecordFailure) {
        var number = 0
        try LogReader.lines(of: file) { bytes, _ in
            number += 1
            guard let line = LogLine(bytes) else {
                unreadable += 1
                return unreadable % Self.mostUnreadable != 0
            }
            take(line, file, number)
            return true
        }
    }

    private mutating func take(_ line: LogLine, _ file: String, _ number: Int) {
        let json = line.json
        guard let kind = json["kind"]?.string, kind == "intent" || kind == "refused",
            let operation = json["operation"]?.string, let verdict = json["verdict"]?.string
        else {
            others += 1
            return
        }
        guard let digest = json["bundle"]?.string.flatMap({ Digest($0) }) else {
            // A halted agent has no bundle, and nothing was decided from one.
            gaps[.circumstances, default: 0] += 1
            return
        }
        guard let run = bundle(digest),
            let present = json["present"]?.string.flatMap({ Digest($0) }).map({ bundle($0) }) ?? run
        else {
            gaps[.bundle, default: 0] += 1
            return
        }
        let recorded = json["reason"]?.string.map { "\(verdict): \($0)" } ?? verdict
        let names = operation.split(separator: ".", maxSplits: 1)
        let mac = json["arguments"]?.string
        let known = mac.flatMap { arguments[$0] }
        let call = CallPolicy.Call(
            tool: names.count == 2 ? String(names[0]) : "",
            operation: names.count == 2 ? String(names[1]) : operation,
            arguments: known
        )
        guard let day = json["time"]?.string.flatMap({ CalendarDate($0.prefix(10)) }),
            let decided = try? CallPolicy.decide(call, run: run, present: present, CallPolicy.Circumstances(today: day))
        else {
            others += 1
            return
        }
        switch Self.compare(json, decided, knowsArguments: known != nil) {
        case .same: same += 1
        case .gap(let gap): gaps[gap, default: 0] += 1
        case .different:
            different += 1
            guard differences.count < Self.mostDifferences else { return }
            differences.append(
                Difference(
                    file: file.split(separator: "/").last.map(String.init) ?? file,
                    line: number,
                    sequence: line.sequence,
                    recorded: recorded,
                    decided: decided.word
                )
            )
        }
    }

    private enum Comparison {
        case same, different
        case gap(Gap)
    }

    private static func compare(
        _ json: JSONValue,
        _ decided: CallPolicy.Verdict,
        knowsArguments: Bool
    ) -> Comparison {
        let reason = json["reason"]?.string
        switch reason {
        case "not-granted", "expired":
            guard case .refused(let refusal) = decided else { return .different }
            return refusal.reason == reason ? .same : .different
        // No schema refused it, but the message itself: arguments that are no object, or a number with no one reading.
        case "arguments" where json["at"] == nil: return .gap(.circumstances)
        case "arguments":
            if case .refused(let refusal) = decided, refusal.reason == reason { return .same }
            // Another bundle may have refused them before.
            return knowsArguments ? .different : .gap(.arguments)
        case "approval-pending", "approval-denied":
            if case .refused = decided { return .different }
            guard case .needsApproval = decided else { return .different }
            return knowsArguments ? .same : .gap(.arguments)
        case .some: return .gap(.circumstances)
        case nil:
            switch decided {
            case .refused: return .different
            case .needsApproval where json["approval"] == nil: return .different
            case .allowed, .needsApproval: return knowsArguments ? .same : .gap(.arguments)
            }
        }
    }

    private mutating func bundle(_ digest: Digest) -> PreparedBundle? {
        if let known = bundles[digest] { return known }
        let read = Self.read("\(live)/\(LivePath.bundle(digest))", digest)
        bundles[digest] = .some(read)
        return read
    }

    private static func read(_ path: String, _ digest: Digest) -> PreparedBundle? {
        guard let bytes = try? Files.read(path, limit: Bundle.maxBytes), SHA256.hex(of: bytes) == digest.hex,
            let json = try? JSONParser.parse(bytes), let bundle = Bundle(json: json)
        else { return nil }
        return PreparedBundle(bundle, digest: digest)
    }

    package var json: JSONValue {
        [
            "v": 1, "unreadable": .integer(Int64(unreadable)), "same": .integer(Int64(same)),
            "different": .integer(Int64(different)),
            "undecided": .object(
                JSONObject(Gap.allCases.map { ($0.rawValue, .integer(Int64(gaps[$0] ?? 0))) })
            ),
            "differences": .array(
                differences.map { difference in
                    [
                        "file": .string(difference.file), "line": .integer(Int64(difference.line)),
                        "seq": .integer(difference.sequence), "recorded": .string(difference.recorded),
                        "decided": .string(difference.decided),
                    ]
                }
            ),
        ]
    }
}

extension CallPolicy.Verdict {
    fileprivate var word: String {
        switch self {
        case .allowed: "allowed"
        case .needsApproval(let approval): "needs approval: \(approval.rawValue)"
        case .refused(let refusal): "refused: \(refusal.reason)"
        }
    }
}

extension CallPolicy.Refusal {
    /// As the log names it.
    fileprivate var reason: String {
        switch self {
        case .halted: "halted"
        case .notGranted: "not-granted"
        case .expired: "expired"
        case .precondition: "precondition"
        case .exhausted: "budget"
        case .looping: "loop"
        case .arguments: "arguments"
        }
    }
}
