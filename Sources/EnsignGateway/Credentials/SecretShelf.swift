import EnsignModel
import EnsignSystem
import Synchronization

/// Reads secrets by their references, with the operator's commands, and keeps each for at most five minutes.
///
/// In memory alone. A command that fails, is slow, says nothing or too much gives no secret, and the call fails. Safe from
/// any number of threads: those that want the same secret wait for one command, each as long as it likes, and get what comes of it.
package final class SecretShelf: Sendable {
    private struct Slot {
        var kept: (value: String, read: ContinuousClock.Instant)?
        /// Whether its command runs.
        var isReading = false
        /// Commands that gave nothing.
        var failed = 0
        var failure: UpstreamFailure?
    }

    private struct State {
        var slots: [String: Slot] = [:]
        var readsNoMore = false
    }

    /// What was given to servers. A program keeps what it was started with, whatever has become of it since: it is known
    /// here for as long, so that it can be cut out of what the program says.
    private struct Given {
        var values: [String: [String]] = [:]
        var cutter = SecretCutter([])

        /// Values of one reference.
        static let most = 8

        mutating func add(_ value: String, of reference: String) {
            var own = values[reference, default: []].filter { !$0.utf8.elementsEqual(value.utf8) }
            own.append(value)
            values[reference] = own.suffix(Self.most)
            cutter = SecretCutter(Array(values.values.joined()))
        }
    }

    private let commands: [String: [String]]
    private let state = Condition(State())
    /// Commands run on threads of their own: whoever asked first may leave before the others.
    private let readers = WorkerPool(most: 64)
    private let given = Mutex(Given())
    private let deadline: Duration
    private let say: @Sendable (String) -> Void

    /// How long a secret is kept.
    static let kept = Duration.seconds(300)
    static let mostBytes = 65_536

    /// - Parameters:
    ///   - commands: Programs and their arguments by scheme; the reference is added as the last one.
    ///   - say: Tells the operator something, who may have been told before.
    package init(
        _ commands: [String: [String]],
        deadline: Duration = .seconds(10),
        say: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.commands = commands
        self.deadline = deadline
        self.say = say
    }

    /// References whose secret is too short to be cut out of what servers say, sorted.
    package var uncut: [String] {
        given.withLock { given in
            given.values.filter { $0.value.contains { $0.utf8.count < SecretCutter.shortest } }.keys.sorted()
        }
    }

    /// What an operator must know of such a reference.
    package static func warning(ofUncut reference: String) -> String {
        "the secret of '\(reference)' has fewer than \(SecretCutter.shortest) bytes: it is not cut out of what servers answer"
    }

    /// The secret of a reference.
    ///
    /// - Parameters:
    ///   - deadline: Until when it is waited for; nil for as long as its command may take.
    ///   - cancellation: Of whoever waits: the command goes on for the others.
    /// - Throws: ``UpstreamFailure`` that says what was wrong, and nothing of the secret.
    package func secret(
        _ reference: String,
        until deadline: ContinuousClock.Instant? = nil,
        _ cancellation: Cancellation = Cancellation()
    ) throws(UpstreamFailure) -> String {
        enum Turn { case over(Result<String, UpstreamFailure>), reads }
        // What failed before was told to those who waited for it.
        var failed = state.withLock { $0.slots[reference]?.failed ?? 0 }
        while true {
            let turn = cancellation.whileWatching({ [state] in state.update { _ in } }) {
                state.wait(until: deadline) { state -> Turn? in
                    var slot = state.slots[reference] ?? Slot()
                    if let kept = slot.kept, ContinuousClock.now - kept.read < Self.kept {
                        return .over(.success(kept.value))
                    }
                    if slot.failed > failed, let failure = slot.failure { return .over(.failure(failure)) }
                    if state.readsNoMore {
                        return .over(.failure(UpstreamFailure(.cancelled, "no secret is read any more")))
                    }
                    if cancellation.isCancelled {
                        return .over(.failure(UpstreamFailure(.cancelled, "the caller has gone")))
                    }
                    guard !slot.isReading else { return nil }
                    failed = slot.failed
                    slot.kept = nil
                    slot.isReading = true
                    state.slots[reference] = slot
                    return .reads
                }
            }
            switch turn {
            case .over(let result): return try result.get()
            case nil: throw UpstreamFailure(.timedOut, "the secret of '\(reference)' was not there in time")
            case .reads:
                guard !readers.run({ [self] in finish(reference, reading(reference)) }) else { continue }
                finish(reference, .failure(UpstreamFailure(.unreachable, "too many secrets are being read")))
            }
        }
    }

    private func reading(_ reference: String) -> Result<String, UpstreamFailure> {
        Result { () throws(UpstreamFailure) in
            let value = try read(reference)
            given.withLock { $0.add(value, of: reference) }
            if value.utf8.count < SecretCutter.shortest { say(Self.warning(ofUncut: reference)) }
            return value
        }
    }

    private func finish(_ reference: String, _ result: Result<String, UpstreamFailure>) {
        state.update { state in
            var slot = state.slots[reference] ?? Slot()
            slot.isReading = false
            switch result {
            case .success(let value): slot.kept = (value, .now)
            case .failure(let failure):
                slot.failed += 1
                slot.failure = failure
            }
            state.slots[reference] = slot
        }
    }

    /// Forgets a secret that somebody refused, so that the next use reads it again.
    package func forget(_ reference: String) { state.withLock { $0.slots[reference]?.kept = nil } }

    /// Reads none any more: commands that run are ended, and nobody waits for them. What is kept is given on.
    package func readNoMore() { state.update { $0.readsNoMore = true } }

    /// Ends the commands, and waits for that.
    package func end() {
        readNoMore()
        readers.stop()
    }

    /// Cuts out what must not be in a result: the secrets of each reference that were given last. Waits for no command.
    package var cutter: SecretCutter { given.withLock { $0.cutter } }

    private func read(_ reference: String) throws(UpstreamFailure) -> String {
        guard let scheme = GatewayFile.scheme(of: reference), let words = commands[scheme], let program = words.first
        else { throw UpstreamFailure(.unreachable, "nothing reads references like '\(reference)'") }
        var command = Subprocess.ofOperator(
            program,
            Array(words.dropFirst()) + [reference],
            deadline: deadline,
            outputLimit: Self.mostBytes + 1
        )
        command.isCancelled = { [state] in state.withLock { $0.readsNoMore } }
        func failed(_ why: String) -> UpstreamFailure {
            UpstreamFailure(.unreachable, "\(program) gave no secret for '\(reference)': \(why)")
        }
        let outcome: Subprocess.Outcome
        do throws(SystemError) { outcome = try command.run() } catch { throw failed(error.reason) }
        if outcome.timedOut { throw failed("it took longer than \(deadline.components.seconds) seconds") }
        guard outcome.status == 0 else { throw failed("it ended with status \(outcome.status)") }
        guard outcome.output.count <= Self.mostBytes else { throw failed("it wrote more than 64 KiB") }
        var bytes = outcome.output[...]
        while let last = bytes.last, last == 0x0A || last == 0x0D { bytes.removeLast() }
        guard !bytes.isEmpty else { throw failed("it wrote nothing") }
        guard !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) else {
            throw failed("what it wrote is not text")
        }
        return text
    }
}

extension GatewayFile.UpstreamLine {
    /// What an upstream gets, with the secret in its place.
    ///
    /// - Parameter secret: Nil where the tool names no credentials.
    func filled(_ secret: String?) throws(UpstreamFailure) -> [(name: String, value: String)] {
        var result: [(name: String, value: String)] = []
        for (name, template) in templates {
            guard template.value.contains(Self.placeholder) else {
                result.append((name, template.value))
                continue
            }
            guard let secret else {
                throw UpstreamFailure(
                    .unreachable,
                    "'\(name)' wants credentials, and the tool names none: 'credentials: {ref: ...}' in its manifest or Binding"
                )
            }
            if case .web = address, secret.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
                throw UpstreamFailure(.unreachable, "the secret for the header '\(name)' is not one line")
            }
            result.append((name, template.value.replacing(Self.placeholder, with: secret)))
        }
        return result
    }
}
