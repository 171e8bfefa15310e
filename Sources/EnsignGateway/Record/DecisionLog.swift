import EnsignCrypto
package import EnsignModel
import EnsignSystem
import Glibc

/// The decision log of a state folder: `log/<date>.jsonl`, append only.
///
/// Several processes may write to one log at once: each line is written under a lock on the folder, after the newest one,
/// whoever wrote that. A line is complete or not there: what a full disk cuts off is taken back. An intent is written before
/// its call, so that a killed process leaves a call whose outcome is unknown, never a call that nobody knows of.
package final class DecisionLog: DecisionRecord {
    /// What runs when a head of the log was signed: the commands that keep it elsewhere. Must not block.
    package typealias Anchor = @Sendable (LogHead) -> Void

    /// How often a head is signed at most, in seconds.
    package static let secondsBetweenHeads: Int64 = 60

    private let folder: LogFolder
    private let environment: @Sendable () -> String
    private let secret: LogSecret
    private let key: SSHPrivateKey
    private let clock: @Sendable () -> Moment
    private let anchor: Anchor
    /// Held while files are written: whoever waits for it sleeps, and does not spin as with `Mutex`.
    private let state: Condition<LogTail>

    /// Opens the log, and writes down what a killed process left open.
    ///
    /// - Parameter environment: Asked for each line: a gateway may start before its live directory is there.
    /// - Throws: ``RecordFailure``.
    package init(
        _ state: StateFolder,
        environment: @escaping @autoclosure @Sendable () -> String,
        clock: @escaping @Sendable () -> Moment = { Moment(nanoseconds: Machine.nanoseconds) },
        anchor: @escaping Anchor = { _ in }
    ) throws(RecordFailure) {
        folder = try LogFolder(state.folder("log"))
        secret = try state.logSecret()
        key = try state.signingKey()
        self.environment = environment
        self.clock = clock
        self.anchor = anchor
        self.state = Condition(LogTail(folder))
        try start()
    }

    /// Stands for arguments in the log.
    package func mac(ofArguments arguments: JSONValue) -> String { secret.mac(ofArguments: arguments) }

    package func append(_ decision: Decision) throws(RecordFailure) -> Int64 {
        // What needs no place in the log is made before anybody waits.
        let hidden = NewLine.Hidden(decision, secret)
        do throws(RecordFailure) { return try append(decision, hidden) } catch {
            if decision.kind == .outcome, decision.intent != nil { keep(decision, hidden) }
            throw error
        }
    }

    private func append(_ decision: Decision, _ hidden: NewLine.Hidden) throws(RecordFailure) -> Int64 {
        try locked { (tail: inout LogTail) throws(RecordFailure) -> Int64 in
            let now = clock()
            try writeLate(&tail, now)
            let line = try write(decision, hidden, &tail, now)
            switch decision.kind {
            case .intent: tail.open[line.sequence] = tail.lastStart
            case .outcome: if let intent = decision.intent { tail.open[intent] = nil }
            case .approval: try tail.sync()
            case .refused, .start, .stop: break
            }
            try? tail.rememberPlace()
            try? signHead(&tail, now, always: decision.kind == .stop)
            return line.sequence
        }
    }

    /// Signs the newest line's digest if that was not done for a minute, or if `always`.
    package func signHead(always: Bool = false) throws(RecordFailure) {
        try locked { (tail: inout LogTail) throws(RecordFailure) in
            let now = clock()
            try writeLate(&tail, now)
            try signHead(&tail, now, always: always)
        }
    }

    /// Compresses the files of earlier days, and removes those that are older. Before that a head is signed which says so: whoever
    /// removes more is noticed.
    ///
    /// - Parameter keep: Days; nil keeps all.
    package func tidy(keep: Int64?) throws(RecordFailure) {
        let today = clock().timestamp.date
        let newest = try locked { (tail: inout LogTail) throws(RecordFailure) in tail.name }
        let day = min(newest.map { String($0.prefix(10)) } ?? today.description, today.description)
        if let last = try folder.old(before: day, keep: keep, today).last {
            try locked { (tail: inout LogTail) throws(RecordFailure) in
                let first = try folder.firstNumber(after: last) ?? tail.sequence + 1
                try signHead(&tail, clock(), always: true, first: first)
            }
        }
        try folder.tidy(before: day, keep: keep, today)
    }

    // MARK: Outcomes that come while nothing can be written

    private func keep(_ decision: Decision, _ hidden: NewLine.Hidden) {
        var decision = decision
        let note = "it came at \(clock().timestamp), when the log could not be written"
        decision.note = decision.note.map { "\(note); \($0)" } ?? note
        state.withLock { tail in
            if tail.late.count < LogTail.LateOutcome.most {
                tail.late.append(.init(decision: decision, hidden: hidden))
            }
        }
    }

    private func writeLate(_ tail: inout LogTail, _ now: Moment) throws(RecordFailure) {
        while let first = tail.late.first {
            _ = try write(first.decision, first.hidden, &tail, now)
            if let intent = first.decision.intent { tail.open[intent] = nil }
            tail.late.removeFirst()
        }
    }

    // MARK: Writing

    private func locked<Value>(_ body: (inout LogTail) throws(RecordFailure) -> Value) throws(RecordFailure) -> Value {
        let result: Result<Value, RecordFailure> = state.withLock { tail in
            do throws(RecordFailure) {
                let lock = try folder.lock(&tail.lock)
                try tail.follow(lock)
                return .success(try body(&tail))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func write(
        _ decision: Decision,
        _ hidden: NewLine.Hidden,
        _ tail: inout LogTail,
        _ now: Moment
    ) throws(RecordFailure) -> NewLine {
        let today = tail.text(ofDay: now.day)
        let place = NewLine.Place(
            sequence: tail.sequence + 1,
            previous: tail.digest,
            time: now.milliseconds(on: today),
            environment: environment(),
            writer: tail.writer
        )
        let line = NewLine(decision, hidden, at: place, secret: secret)
        guard line.bytes.count <= LogLine.mostBytes else { throw RecordFailure("a decision is too long for the log") }
        // The clock may have gone back: a day that was begun goes on.
        let day = max(today, tail.name.map { String($0.prefix(10)) } ?? "")
        if tail.name != nil, tail.name != "\(day).jsonl" { try? signHead(&tail, now, always: true) }
        try tail.append(line, to: "\(day).jsonl")
        return line
    }

    /// - Parameter first: The first line that is kept, where those before it are about to be removed.
    private func signHead(
        _ tail: inout LogTail,
        _ now: Moment,
        always: Bool,
        first: Int64? = nil
    ) throws(RecordFailure) {
        guard let digest = tail.digest, first != nil || tail.sequence > tail.head.sequence else { return }
        let age = now.timestamp.seconds(since: tail.head.time)
        guard always || age >= Self.secondsBetweenHeads || age < 0 else { return }
        let head = LogHead(
            environment: environment(),
            sequence: tail.sequence,
            digest: digest,
            time: now.timestamp,
            first: first,
            signedBy: key
        )
        // What the head signs must outlive the machine's power first.
        try tail.sync()
        try folder.append(head)
        tail.head = (head.sequence, head.time)
        anchor(head)
    }

    // MARK: Starting

    /// Takes a place among the writers; for each one that has died, the outcome of its open intents is unknown.
    private func start() throws(RecordFailure) {
        try locked { (tail: inout LogTail) throws(RecordFailure) in
            for writer in try folder.deadWriters() {
                for intent in try folder.openIntents(of: writer) {
                    _ = try write(.unknown(intent), NewLine.Hidden(of: intent), &tail, clock())
                }
                try folder.forget(writer)
            }
            try tail.join()
        }
    }
}

extension Decision {
    /// What became of a call in the middle of which its gateway ended: nobody knows.
    ///
    /// - Parameter intent: Its line. What stands there for key and arguments is taken over as it is.
    fileprivate static func unknown(_ intent: JSONValue) -> Decision {
        func text(_ name: String) -> String? { intent[name]?.string }
        var decision = Decision(.outcome, agent: text("agent").flatMap { AgentID($0) })
        decision.version = text("version").flatMap { AgentVersion($0) }
        decision.bundle = text("bundle").flatMap { Digest($0) }
        decision.present = text("present").flatMap { Digest($0) }
        decision.entry = intent["entry"]?.int
        if let run = text("run"), let source = text("runFrom").flatMap(RunName.Source.init(rawValue:)) {
            decision.run = RunName(run, source)
        }
        if let asked = intent["for"], let issuer = asked["iss"]?.string, let subject = asked["sub"]?.string {
            decision.asked = Asked(issuer: issuer, subject: subject)
        }
        decision.operation = text("operation")
        decision.verdict = text("verdict").flatMap(Verdict.init(rawValue:))
        decision.trace = text("trace")
        decision.outcome = .unknown
        decision.intent = intent["seq"]?.int
        decision.note = "the gateway ended before an answer came"
        return decision
    }
}
