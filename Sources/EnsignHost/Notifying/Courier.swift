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
        return try !refreshed(outbox).pending.isEmpty
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
        return report
    }

    private func run(_ item: Outbox.Pending, dropped: Int64, isCancelled: @escaping @Sendable () -> Bool) throws -> (
        failure: String?, timedOut: Bool
    ) {
        let recorded: RecordedEntry
        do {
            recorded = try site.ledger(environment).read(item.commit)
        } catch let error as GitError {
            guard error.isNotFound else { throw error }
            // The ledger of this entry was replaced: there is nothing left to report.
            return (nil, false)
        }
        let notices = Notice.of(recorded.entry).map(\.rawValue)
        let subject = LedgerCommit.subject(of: recorded.entry)
        var payload = recorded.entry.json.object ?? [:]
        payload["commit"] = .string(item.commit.description)
        payload["subject"] = .string(subject)
        payload["notices"] = .array(notices.map { .string($0) })
        payload["dropped"] = .integer(dropped)
        var program = Subprocess(
            "/bin/sh",
            ["-c", command],
            environment: environment(item, notices, subject),
            directory: site.commonDirectory,
            input: JSONValue.object(payload).canonicalBytes() + [0x0A],
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
    private func environment(_ item: Outbox.Pending, _ notices: [String], _ subject: String) -> [String: String?] {
        var variables: [String: String?] = [
            "ENSIGN_ENVIRONMENT": environment, "ENSIGN_SEQ": String(item.sequence),
            "ENSIGN_COMMIT": item.commit.description, "ENSIGN_NOTICE": notices.first ?? "",
            "ENSIGN_SUBJECT": subject, "ENSIGN_GIT_DIR": site.commonDirectory,
            "ENSIGN_ATTEMPT": String(item.attempts.adding(saturating: 1)),
        ]
        for name in ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ"] {
            variables[name] = Machine.environment(name)
        }
        return variables
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
