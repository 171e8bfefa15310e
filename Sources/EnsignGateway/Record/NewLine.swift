import EnsignManifest
import EnsignModel
import EnsignPolicy
import Synchronization

/// A line of the decision log as it is written: canonical JSON, straight into bytes. ``LogLine`` is one that was read.
struct NewLine: Sendable {
    let sequence: Int64
    /// Without the line feed.
    let bytes: [UInt8]
    /// The next line's `prev`.
    var digest: Digest { Compiler.digest(of: bytes) }

    /// What surrounds a decision in a line.
    struct Place: Sendable {
        var sequence: Int64
        /// Nil for the first line of all.
        var previous: Digest?
        var time: String
        var environment: String
        /// The process that writes it: an intent is open as long as that process may still write its outcome.
        var writer: String
    }

    /// What stands for values that are not for the log. Needs no place: made before anybody waits.
    struct Hidden: Sendable {
        var key: String?
        var arguments: String?
        /// Values that the grant keeps in clear, or what stands for long ones, and how many bytes each takes.
        var record: [(pointer: String, value: JSONValue, size: Int)] = []

        /// Of a line that was read.
        init(of line: JSONValue) {
            key = line["key"]?.string
            arguments = line["arguments"]?.string
        }

        init(_ decision: Decision, _ secret: LogSecret) {
            if let known = decision.macs?.words.withLock({ $0 }) {
                (key, arguments) = known
            } else {
                key = decision.key.map(secret.mac(ofKey:))
                arguments = decision.arguments.map(secret.mac(ofArguments:))
                let words = (key, arguments)
                decision.macs?.words.withLock { $0 = words }
            }
            var left = LogLine.mostRecordedTogether
            record = decision.recorded.prefix(LogLine.mostPlaces).map { pointer, value in
                let size = value.canonicalBytes().count
                // With a colon and a comma.
                let name = JSONValue.string(pointer).canonicalBytes().count + 2
                if size <= LogLine.mostRecorded, name + size <= left {
                    left -= name + size
                    return (pointer, value, name + size)
                }
                let mac = JSONValue.string(secret.mac(ofArguments: value))
                return (pointer, mac, name + mac.canonicalBytes().count)
            }
        }

        /// The members of a line that keep values, with a comma before each: as many of them as there is room for.
        func recorded(within room: Int) -> [UInt8] {
            guard !record.isEmpty else { return [] }
            var left = room - Self.mostAround
            let kept = record.filter { entry in
                guard entry.size <= left else { return false }
                left -= entry.size
                return true
            }
            var members = SortedMembers(isContinued: true)
            if !kept.isEmpty { members.add("record", .object(JSONObject(kept.map { ($0.pointer, $0.value) }))) }
            let out = record.count - kept.count
            if out > 0 { members.add("recordLeftOut", .integer(Int64(out))) }
            return members.bytes
        }

        /// `,"record":{}` and `,"recordLeftOut":40`.
        private static let mostAround = 40
    }

    /// `,"mac":"hmac:` and 64 digits.
    private static let macSize = 80

    init(_ decision: Decision, _ hidden: Hidden, at place: Place, secret: LogSecret) {
        sequence = place.sequence
        var members = SortedMembers()
        members.add("agent", decision.agent?.description)
        if let approval = decision.approval {
            let by = approval.by.prefix(8).map { JSONValue.string($0.cut(utf8: 256)) }
            var parts: JSONObject = ["by": .array(by), "id": .string(approval.id)]
            if let account = decision.approvingAccount {
                let (issuer, subject) = (account.issuer.cut(utf8: 256), account.subject.cut(utf8: 256))
                parts["account"] = ["iss": .string(issuer), "sub": .string(subject)]
            }
            members.add("approval", .object(parts))
        }
        members.add("arguments", hidden.arguments)
        members.add("at", decision.pointer, atMost: 1_024)
        members.add("bundle", decision.bundle?.description)
        members.add("bytes", decision.bytes.map { .integer(Int64($0)) })
        members.add("entry", decision.entry.map { .integer($0) })
        members.add("environment", place.environment)
        if let asked = decision.asked {
            let (issuer, subject) = (asked.issuer.cut(utf8: 256), asked.subject.cut(utf8: 256))
            members.add("for", ["iss": .string(issuer), "sub": .string(subject)])
        }
        members.add("intent", decision.intent.map { .integer($0) })
        members.add("key", hidden.key)
        members.add("kind", decision.kind.rawValue)
        let macPlace = members.bytes.count
        members.add("ms", decision.milliseconds.map { JSONValue(($0 * 1_000).rounded() / 1_000) })
        members.add("note", decision.note, atMost: 1_024)
        members.add("operation", decision.operation, atMost: 256)
        members.add("outcome", decision.outcome?.rawValue)
        members.add("present", decision.present?.description)
        members.add("prev", place.previous.map { .string($0.description) } ?? .null)
        members.add("reason", decision.reason?.rawValue)
        let recordPlace = members.bytes.count
        members.add("run", decision.run?.name ?? decision.bareRun, atMost: 256)
        members.add("runFrom", decision.run?.source.rawValue)
        members.add("seq", .integer(place.sequence))
        members.add("time", place.time)
        members.add("trace", decision.trace, atMost: 64)
        members.add("v", .integer(1))
        members.add("verdict", decision.verdict?.rawValue)
        members.add("version", decision.version?.description)
        members.add("writer", place.writer)
        var bytes = members.object
        // Whatever else there is, the line is written: of the values as much as there is room for.
        let recorded = hidden.recorded(within: LogLine.mostBytes - bytes.count - Self.macSize)
        bytes.insert(contentsOf: recorded, at: recordPlace)
        let mac = secret.mac(ofLine: bytes)
        bytes.insert(contentsOf: ",\"mac\":\"\(mac)\"".utf8, at: macPlace)
        self.bytes = bytes
    }
}

/// The members of an object, given in the order of their names (RFC 8785, section 3.2.3), as canonical JSON.
private struct SortedMembers {
    private(set) var bytes: [UInt8] = []
    private var last = ""
    private let isContinued: Bool

    /// - Parameter isContinued: Whether others come before them.
    init(isContinued: Bool = false) {
        self.isContinued = isContinued
        bytes.reserveCapacity(1_024)
    }

    var object: [UInt8] { bytes + [UInt8(ascii: "}")] }

    mutating func add(_ name: String, _ text: String?) {
        guard let text else { return }
        begin(name)
        JSONValue.appendCanonical(text, to: &bytes)
    }

    /// - Parameter most: The most bytes between the quotes; what is longer is cut.
    mutating func add(_ name: String, _ text: String?, atMost most: Int) {
        guard let text else { return }
        begin(name)
        let start = bytes.count
        JSONValue.appendCanonical(text, to: &bytes)
        guard bytes.count - start > most + 2 else { return }
        bytes.removeSubrange(start...)
        JSONValue.appendCanonical(text.cut(utf8: most), to: &bytes)
    }

    mutating func add(_ name: String, _ value: JSONValue?) {
        guard let value else { return }
        begin(name)
        value.appendCanonical(to: &bytes)
    }

    private mutating func follows(_ name: String) -> Bool {
        defer { last = name }
        return last < name
    }

    private mutating func begin(_ name: String) {
        assert(follows(name), "'\(name)' is not in its place")
        bytes.append(bytes.isEmpty && !isContinued ? UInt8(ascii: "{") : UInt8(ascii: ","))
        JSONValue.appendCanonical(name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
    }
}

extension Moment {
    /// Days since 1970-01-01, in UTC.
    var day: Int64 {
        let seconds = timestamp.seconds
        return seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
    }

    /// `2026-11-29T03:00:00.123Z`.
    ///
    /// - Parameter day: That of this moment, which is the same for many.
    func milliseconds(on day: String) -> String {
        let second = timestamp.seconds - self.day * 86_400
        let rest = (nanoseconds - timestamp.seconds * 1_000_000_000) / 1_000_000
        var bytes = Array(day.utf8)
        func add(_ mark: UInt8, _ number: Int64, _ places: [Int64]) {
            bytes.append(mark)
            for place in places { bytes.append(UInt8(ascii: "0") + UInt8(number / place % 10)) }
        }
        add(UInt8(ascii: "T"), second / 3_600, [10, 1])
        add(UInt8(ascii: ":"), second / 60 % 60, [10, 1])
        add(UInt8(ascii: ":"), second % 60, [10, 1])
        add(UInt8(ascii: "."), rest, [100, 10, 1])
        bytes.append(UInt8(ascii: "Z"))
        return String(decoding: bytes, as: UTF8.self)
    }
}
