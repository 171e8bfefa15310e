import EnsignJSON
package import EnsignModel
import EnsignSystem
import Glibc

/// Calls that must not be made twice, as files of the state folder: what ``SingleFlight`` is within one gateway, between
/// gateways and processes, and after one of them has ended in the middle of a call.
///
/// `flights/<name>` is locked while somebody makes the call. Then it is gone, or holds the outcome for a minute where its client
/// may not have got that. One that nobody holds and that was sent without an outcome is of a process that died: what became
/// of the call is unknown. Whoever finds it marks it so, and its minute begins there: the call may have been sent long before.
///
/// A file's first byte says that somebody waits, the second that the call was sent, with whose word, or that it is known to be
/// unknown; the outcome follows. Safe from any number of threads and processes. Nothing is synced: a machine that loses power forgets what
/// its clients waited for.
package final class FlightFolder: Sendable {
    /// What becomes of somebody who is about to make a call.
    package enum Place: Sendable {
        /// It makes the call, and says what came of it.
        case first(Flight)
        /// Somebody made it, and this came of it.
        case over(JSONValue)
        /// Somebody began to make it, and nobody knows what came of it.
        case unknown
        /// Somebody makes it, and whoever asked waits no longer.
        case left
    }

    /// One call that is made here, and by nobody else meanwhile.
    package final class Flight: Sendable {
        fileprivate let file: FileDescriptor
        fileprivate let path: String

        fileprivate init(_ file: consuming FileDescriptor, _ path: String) {
            self.file = file
            self.path = path
        }

        /// The call is about to be sent: from here on it may have happened.
        ///
        /// - Parameter approval: Whose word it is made with.
        package func begins(with approval: Approval = .none) throws(RecordFailure) {
            try recording { try file.write([Byte.sent(approval)], at: 1, to: path) }
        }

        /// The call is over.
        ///
        /// - Parameter outcome: Nil where it was not sent: then whoever waits makes it.
        package func end(_ outcome: JSONValue?, _ keeping: SingleFlight.Keeping) {
            do throws(SystemError) {
                var first: [UInt8] = []
                _ = try file.read(at: 0, count: 1, appendingTo: &first, from: path)
                let isWaitedFor = first == [Byte.waits]
                if let outcome, isWaitedFor || keeping != .none {
                    let isToldAgain = isWaitedFor || keeping == .aMinute
                    try file.write(FlightFolder.content(outcome, isToldAgain: isToldAgain), at: 2, to: path)
                } else if isWaitedFor {
                    _ = ftruncate(file.number, 0)
                } else {
                    try Files.remove(path)
                }
            } catch {
                // What cannot be kept is unknown to whoever asks again.
            }
            flock(file.number, LOCK_UN)
        }
    }

    private enum Byte {
        static let waits: UInt8 = 0x77
        static let unknown: UInt8 = 0x75

        static func sent(_ approval: Approval) -> UInt8 {
            switch approval {
            case .none: 0x73
            case .manager: 0x6D
            case .dual: 0x64
            }
        }

        /// Whose word a call was sent with; nil where it was not sent.
        static func approval(_ byte: UInt8) -> Approval? { Approval.allCases.first { sent($0) == byte } }
    }

    private let folder: String
    private let name: @Sendable (JSONValue) -> String
    private let clock: @Sendable () -> Int64

    /// The longest outcome that is kept, in bytes.
    private static let most = 5 << 20
    private static let kept = SingleFlight.kept.components.seconds * 1_000_000_000

    /// - Parameters:
    ///   - state: The gateway's own folder.
    ///   - clock: Nanoseconds since 1970, as files are stamped.
    ///   - name: Names the file of a call; tells nothing of its arguments.
    package init(
        state: String,
        clock: @escaping @Sendable () -> Int64 = { Machine.nanoseconds },
        name: @escaping @Sendable (JSONValue) -> String
    ) throws {
        folder = "\(state)/flights"
        self.clock = clock
        self.name = name
        try Files.makeDirectories(folder, mode: 0o700)
    }

    private func path(of key: SingleFlight.Key) -> String {
        let call: JSONValue = [
            "flight", .string("\(key.agent)"), .string(key.run), .string("\(key.bundle)"), .string(key.operation),
            key.arguments,
        ]
        return "\(folder)/\(name(call))"
    }

    /// Whether the same call is under way somewhere, or its outcome waits for whoever asks again.
    ///
    /// - Parameter needed: Whose word is needed now: what was made with less does not count.
    package func isKnown(_ key: SingleFlight.Key, with needed: Approval = .none) -> Bool {
        let path = path(of: key)
        guard let file = try? FileDescriptor(path, O_RDONLY | O_NOFOLLOW) else { return false }
        // Shared: two that ask do not take each other for the one that makes the call.
        guard flock(file.number, LOCK_SH | LOCK_NB) == 0 else {
            var bytes: [UInt8] = []
            guard needed != .none else { return true }
            guard (try? file.read(at: 0, count: 2, appendingTo: &bytes, from: path)) != nil, bytes.count == 2 else {
                return false
            }
            return Byte.approval(bytes[1]).map { $0 >= needed } ?? false
        }
        guard let status = try? file.status(path), case .over(let outcome, _)? = try? look(at: file, status, path)
        else {
            return false
        }
        return Landed(outcome).approval >= needed
    }

    /// Joins a call that is under way, or begins it. Blocks while somebody else makes it, who may be stopped or hang.
    ///
    /// - Parameters:
    ///   - isAgreed: Whether people have agreed to it anew, so that what became of an earlier one does not matter.
    ///   - isWanted: Whether somebody still waits; looked at again and again.
    package func join(
        _ key: SingleFlight.Key,
        isAgreed: Bool,
        isWanted: () -> Bool = { true }
    ) throws(RecordFailure) -> Place {
        let path = path(of: key)
        return try recording { () -> Place in
            var hasWaited = false
            while true {
                let file = try FileDescriptor(
                    path,
                    O_RDWR | O_CREAT | O_NOFOLLOW,
                    mode: 0o600,
                    operation: "open \(path)"
                )
                while flock(file.number, LOCK_EX | LOCK_NB) != 0 {
                    guard errno == EWOULDBLOCK || errno == EINTR else {
                        throw SystemError(code: errno, operation: "lock \(path)")
                    }
                    if !hasWaited { try file.write([Byte.waits], at: 0, to: path) }
                    hasWaited = true
                    guard isWanted() else { return .left }
                    Machine.pause(milliseconds: 10)
                }
                let status = try file.status(path)
                guard status.links > 0 else {
                    // It ended before its maker saw that somebody waits.
                    if hasWaited { return .unknown }
                    continue
                }
                let content = try look(at: file, status, path)
                try beginAnew(file, status, path)
                switch content {
                case .over(let outcome, let isToldAgain):
                    if !isToldAgain { try Files.remove(path) }
                    return .over(outcome)
                case .sent where !isAgreed:
                    try mark(file, path)
                    return .unknown
                case .unknown where !isAgreed: return .unknown
                case .sent, .unknown, .nothing: break
                }
                if status.size > 0, ftruncate(file.number, 0) != 0 {
                    throw SystemError(code: errno, operation: "empty \(path)")
                }
                return .first(Flight(file, path))
            }
        }
    }

    /// Takes what came of a call after all in the place of the unknown outcome that is kept of it; the minute begins anew. Nothing
    /// is done where that is kept no more, or somebody makes the same call anew.
    ///
    /// - Parameter outcome: Its `intent` says which call it is.
    package func amend(_ key: SingleFlight.Key, _ outcome: JSONValue) {
        let path = path(of: key)
        guard let file = try? FileDescriptor(path, O_RDWR | O_NOFOLLOW) else { return }
        // Whoever only looks is done in a moment.
        var tries = 0
        while flock(file.number, LOCK_EX | LOCK_NB) != 0 {
            tries += 1
            guard tries < 100 else { return }
            Machine.pause(milliseconds: 1)
        }
        guard let status = try? file.status(path), status.links > 0,
            case .over(let kept, let isToldAgain)? = try? look(at: file, status, path),
            kept["intent"] == outcome["intent"], ftruncate(file.number, 2) == 0
        else { return }
        try? file.write(Self.content(outcome, isToldAgain: isToldAgain), at: 2, to: path)
    }

    private static func content(_ outcome: JSONValue, isToldAgain: Bool) -> [UInt8] {
        let kept: JSONValue = ["again": .bool(isToldAgain), "outcome": outcome]
        return kept.canonicalBytes() + [0x0A]
    }

    /// Keeps an outcome that was thought to be taken, for whoever asks again first; not where somebody has asked again already.
    package func keep(_ key: SingleFlight.Key, _ outcome: JSONValue) {
        guard !isKnown(key), case .first(let flight)? = try? join(key, isAgreed: true, isWanted: { false }) else {
            return
        }
        guard (try? flight.begins()) != nil else { return flight.end(nil, .none) }
        flight.end(outcome, .untilTaken)
    }

    /// What a file says that nobody holds.
    private enum Content {
        /// Nothing that still counts.
        case nothing
        case over(JSONValue, isToldAgain: Bool)
        /// Its process has died since, and nobody has found that until now.
        case sent
        /// Somebody found that it was sent and nothing more, within the last minute.
        case unknown
    }

    private func look(
        at file: borrowing FileDescriptor,
        _ status: FileStatus,
        _ path: String
    ) throws(SystemError) -> Content {
        let isOld = clock() - status.modified >= Self.kept
        var bytes: [UInt8] = []
        while bytes.count <= Self.most {
            let count = try file.read(at: Int64(bytes.count), count: 65_536, appendingTo: &bytes, from: path)
            if count == 0 { break }
        }
        guard bytes.count >= 2 else { return .nothing }
        switch bytes[1] {
        case let byte where Byte.approval(byte) != nil:
            guard bytes.last == 0x0A, let kept = try? JSONParser.parse(Array(bytes[2...])),
                let outcome = kept["outcome"], let isToldAgain = kept["again"]?.bool
            else { return .sent }
            return isOld ? .nothing : .over(outcome, isToldAgain: isToldAgain)
        case Byte.unknown: return isOld ? .nothing : .unknown
        default: return .nothing
        }
    }

    /// From now on it is unknown what became of a call: its file's time was that of its sending.
    private func mark(_ file: borrowing FileDescriptor, _ path: String) throws(SystemError) {
        try file.write([Byte.unknown], at: 1, to: path)
        try file.stamp(clock(), path)
    }

    /// Lets the minute of a file begin now whose time has not come yet: the clock was set back since.
    private func beginAnew(
        _ file: borrowing FileDescriptor,
        _ status: FileStatus,
        _ path: String
    ) throws(SystemError) {
        let now = clock()
        if status.modified > now { try file.stamp(now, path) }
    }

    /// Removes what nobody asked for within its minute.
    package func sweep() {
        for name in ((try? Files.list(folder)) ?? nil) ?? [] {
            let path = "\(folder)/\(name)"
            guard let file = try? FileDescriptor(path, O_RDWR | O_NOFOLLOW),
                flock(file.number, LOCK_EX | LOCK_NB) == 0, let status = try? file.status(path), status.links > 0
            else { continue }
            try? beginAnew(file, status, path)
            guard
                clock() - status.modified >= Self.kept, let content = try? look(at: file, status, path)
            else { continue }
            if case .sent = content { try? mark(file, path) } else { try? Files.remove(path) }
        }
    }
}
