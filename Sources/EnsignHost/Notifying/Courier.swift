import EnsignGit
package import EnsignLedger
import EnsignModel
import EnsignSystem
import Glibc

/// Runs the operator's `ensign.notify` for the entries of one environment that ask for it. docs/notify.md.
///
/// One at a time for each environment, whoever calls: a second process waits, a third leaves its work to the second.
package struct Courier {
    private let site: Site
    private let environment: String
    private let command: String
    private let deadline: Duration

    /// - Returns: nil when `ensign.notify` is not set.
    package init?(site: Site, environment: String) {
        guard let command = site.settings.notify, !command.isEmpty else { return nil }
        self.site = site
        self.environment = environment
        self.command = command
        let timeout = site.settings.notifyTimeout.flatMap { TimeSpan($0) }?.milliseconds ?? 30_000
        deadline = .milliseconds(min(max(timeout, 100), 300_000))
    }

    private var file: StateFile<Outbox> { StateFile(site.files, environment) }

    /// The result of a delivery.
    package struct Report: Sendable, Hashable {
        package var delivered = 0
        /// What went wrong, in a sentence.
        package var failure: String?
        /// Until the next attempt; nil when nothing waits.
        package var wait: Duration?
    }

    // MARK: The outbox

    /// Makes the outbox before the first entry that may concern it; removes it when nobody wants notifications.
    ///
    /// It stops nothing: what cannot be written here is written by the next run.
    package static func prepare(_ site: Site, _ environment: String, _ tip: RecordedEntry?) {
        let file = StateFile<Outbox>(site.files, environment)
        guard Courier(site: site, environment: environment) != nil else {
            if file.isThere { try? file.remove() }
            return
        }
        if !file.isThere { try? file.write(Outbox(sequence: tip?.entry.sequence ?? -1)) }
    }

    /// Whether an entry waits. Changes nothing.
    package func hasWork() throws -> Bool {
        guard let outbox = try file.read() else { return false }
        return try !refreshed(outbox).pending.isEmpty || forgeNews(outbox) != nil
    }

    /// The outbox with the entries that the ledger has had since.
    private func refreshed(_ outbox: Outbox) throws -> Outbox {
        let ledger = site.ledger(environment)
        guard let tip = try ledger.tip(), tip.entry.sequence != outbox.sequence else { return outbox }
        var outbox = outbox
        // A ledger that was put back to an older entry begins anew from there.
        outbox.sequence = min(outbox.sequence, tip.entry.sequence)
        var found: [Outbox.Pending] = []
        try ledger.walk(from: tip) { entry in
            guard entry.entry.sequence > outbox.sequence else { return false }
            if !Notice.of(entry.entry).isEmpty {
                found.append(Outbox.Pending(sequence: entry.entry.sequence, commit: entry.commit))
            }
            return true
        }
        outbox.add(found, upTo: tip.entry.sequence)
        return outbox
    }

    // MARK: Delivering

    /// Runs the command for what waits, oldest first.
    ///
    /// - Parameters:
    ///   - onlyDue: Whether to skip entries whose pause after a failure is not over.
    ///   - patience: How long to wait for another process that delivers.
    /// - Returns: Nothing done, and no failure, when others see to it.
    package func deliver(
        onlyDue: Bool,
        patience: Duration,
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws -> Report {
        guard try file.written() != nil else { return Report() }
        do {
            return try deliverInTurn(onlyDue, patience, isCancelled)
        } catch is Busy {
            return Report(wait: .seconds(5))
        }
    }

    /// Another process delivers, and another one waits for it or this one has waited long enough.
    private struct Busy: Error {}

    /// Takes the lock of those who deliver. At most one waits for it: it will see what all others would have seen.
    private func takeTurn(_ patience: Duration) throws -> FileLock {
        do throws(SystemError) {
            let next = try FileLock("\(file.path).next", timeout: .zero)
            defer { withExtendedLifetime(next) {} }
            return try FileLock("\(file.path).lock", timeout: patience)
        } catch {
            if error.code == EWOULDBLOCK { throw Busy() }
            throw error
        }
    }

    private func deliverInTurn(
        _ onlyDue: Bool,
        _ patience: Duration,
        _ isCancelled: @escaping @Sendable () -> Bool
    ) throws -> Report {
        let turn = try takeTurn(patience)
        defer { withExtendedLifetime(turn) {} }
        guard var outbox = try file.read() else { return Report() }
        var report = Report()
        var tried: Set<Int64> = []
        while !isCancelled() {
            let fresh = try refreshed(outbox)
            if fresh != outbox {
                outbox = fresh
                try file.write(outbox)
            }
            let now = Machine.now
            let next = outbox.pending.first { item in
                !tried.contains(item.sequence)
                    && (!onlyDue || item.due <= now || item.due > now.adding(saturating: 3_600))
            }
            guard let next else { break }
            tried.insert(next.sequence)
            let result = try run(next, dropped: outbox.dropped, isCancelled: isCancelled)
            if isCancelled() { break }
            if let failure = result.failure {
                outbox.failed(next, failure, now: Machine.now)
                report.failure = failure
            } else {
                outbox.delivered(next)
                report.delivered += 1
            }
            try file.write(outbox)
            // A command that hangs would hang for each entry.
            if result.timedOut { break }
        }
        report.wait = outbox.wait(now: Machine.now).map { .seconds($0) }
        // After the record: a forge that is away makes no entry wait.
        if report.failure == nil, !isCancelled() { try tellOfForge(&outbox, onlyDue, &report, isCancelled) }
        return report
    }

    private typealias Outcome = (failure: String?, timedOut: Bool)

    private func run(_ item: Outbox.Pending, dropped: Int64, isCancelled: @escaping @Sendable () -> Bool) throws
        -> Outcome
    {
        let recorded: RecordedEntry
        do {
            recorded = try site.ledger(environment).read(item.commit)
        } catch let error as GitError {
            guard error.isNotFound else { throw error }
            // The ledger of this entry was replaced: there is nothing left to report.
            return (nil, false)
        }
        var letter = Letter(
            recorded,
            id: item.commit.description,
            notices: Notice.of(recorded.entry),
            subject: LedgerCommit.subject(of: recorded.entry)
        )
        letter.payload["dropped"] = .integer(dropped)
        return try send(letter, attempt: item.attempts.adding(saturating: 1), isCancelled)
    }

    /// What the command gets for one notice.
    private struct Letter {
        var entry: RecordedEntry
        var notices: [Notice]
        var subject: String
        var payload: JSONObject

        /// - Parameter id: The same whenever the same notice is sent again.
        init(_ entry: RecordedEntry, id: String, notices: [Notice], subject: String) {
            (self.entry, self.notices, self.subject) = (entry, notices, subject)
            payload = entry.entry.json.object ?? [:]
            payload["commit"] = .string(entry.commit.description)
            payload["id"] = .string(id)
            payload["subject"] = .string(subject)
            payload["notices"] = .array(notices.map { .string($0.rawValue) })
            payload["dropped"] = 0
        }
    }

    private func send(_ letter: Letter, attempt: Int64, _ isCancelled: @escaping @Sendable () -> Bool) throws -> Outcome
    {
        var program = Subprocess(
            "/bin/sh",
            ["-c", command],
            environment: variables(letter, attempt),
            directory: site.commonDirectory,
            input: JSONValue.object(letter.payload).canonicalBytes() + [0x0A],
            deadline: deadline,
            outputLimit: 4_096
        )
        program.inheritsEnvironment = false
        program.leadsGroup = true
        program.isCancelled = isCancelled
        let outcome = try program.run()
        if outcome.timedOut { return ("no end in \(deadline)", true) }
        guard outcome.status != 0 else { return (nil, false) }
        let line = outcome.errorText.split(separator: "\n").last.map { ": \($0.cut(utf8: 300))" } ?? ""
        return ("status \(outcome.status)\(line)", false)
    }

    /// What the command gets in its environment, and nothing else: what this process has may be secret.
    private func variables(_ letter: Letter, _ attempt: Int64) -> [String: String?] {
        var variables: [String: String?] = [
            "ENSIGN_ENVIRONMENT": environment, "ENSIGN_SEQ": String(letter.entry.entry.sequence),
            "ENSIGN_COMMIT": letter.entry.commit.description, "ENSIGN_NOTICE": letter.notices.first?.rawValue ?? "",
            "ENSIGN_SUBJECT": letter.subject, "ENSIGN_GIT_DIR": site.commonDirectory,
            "ENSIGN_ATTEMPT": String(attempt),
        ]
        for name in ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ"] {
            variables[name] = Machine.environment(name)
        }
        return variables
    }

    // MARK: The forge

    /// What is to be told about the forge: its state, when that is another than was last told; else nil.
    private func forgeNews(_ outbox: Outbox) throws -> (forge: ForgeStatus, tip: RecordedEntry)? {
        guard let tip = try site.ledger(environment).tip(), let forge = ForgeStatus.of(environment, site, tip),
            forge.troubles != outbox.forge.told
        else { return nil }
        return (forge, tip)
    }

    /// Runs the command once for each state of the forge, also for the one in which it works again.
    private func tellOfForge(
        _ outbox: inout Outbox,
        _ onlyDue: Bool,
        _ report: inout Report,
        _ isCancelled: @escaping @Sendable () -> Bool
    ) throws {
        guard let (forge, tip) = try forgeNews(outbox) else { return }
        let now = Machine.now
        let left = min(max(0, outbox.forge.due.subtracting(saturating: now)), 3_600)
        guard !onlyDue || left == 0 else {
            report.wait = min(report.wait ?? .seconds(left), .seconds(left))
            return
        }
        let what = forge.sentences.isEmpty ? "\(forge.remote) works again" : forge.sentences.joined(separator: "; ")
        let since = (forge.fetch.failure ?? forge.push.failure ?? forge.push.branchFailure)?.since ?? forge.fetch.last
        var letter = Letter(
            tip,
            id: "forge-\(since?.description ?? "")-\(forge.troubles.map(\.rawValue).sorted().joined(separator: "-"))",
            notices: [.forge],
            subject: "\(environment): \(what)"
        )
        // Not the newest entry's: it has nothing to do with it.
        letter.payload["changes"] = []
        letter.payload["error"] = forge.sentences.isEmpty ? .null : .string(what)
        letter.payload["forge"] = forge.json
        let outcome = try send(letter, attempt: outbox.forge.attempts.adding(saturating: 1), isCancelled)
        if isCancelled() { return }
        if let failure = outcome.failure {
            outbox.failedToTell(failure, now: Machine.now)
            report.failure = failure
            let pause = Duration.seconds(max(0, outbox.forge.due - Machine.now))
            report.wait = min(report.wait ?? pause, pause)
        } else {
            outbox.told(forge.troubles)
            report.delivered += 1
        }
        try file.write(outbox)
    }

    // MARK: From a hook

    /// Starts another process that delivers, and does not wait for it: a push ends when it is live.
    package func deliverDetached(overrides: [(key: String, value: String)]) throws {
        guard try hasWork() else { return }
        var arguments = ["notify", "--env", environment, "--repo", site.gitDirectory, "--quiet"]
        for (key, value) in overrides { arguments += ["-c", "\(key)=\(value)"] }
        try Subprocess(
            Machine.executable ?? "ensign",
            arguments,
            environment: Git.withoutRepository,
            directory: "/"
        ).detach()
    }
}
