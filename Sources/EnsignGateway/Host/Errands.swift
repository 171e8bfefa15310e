import EnsignSystem

/// Runs the operator's commands that are told of something and asked nothing: approvals to ask for, heads to keep.
///
/// Never in the way of a call: each runs on a thread of its own, bounded in number and in time.
final class Errands: Sendable {
    private let workers = WorkerPool(most: 8)
    private let say: @Sendable (String) -> Void
    private let underWay = Condition(0)

    /// The most time that a command may take.
    private static let deadline = Duration.seconds(30)

    init(_ say: @escaping @Sendable (String) -> Void) { self.say = say }

    /// - Parameters:
    ///   - words: An absolute path and arguments; none does nothing.
    ///   - input: What the command reads.
    func run(_ words: [String], input: [UInt8]) {
        guard let program = words.first else { return }
        underWay.update { $0 += 1 }
        let isTaken = workers.run { [self] in
            defer { underWay.update { $0 -= 1 } }
            let command = Subprocess.ofOperator(
                program,
                Array(words.dropFirst()),
                input: input,
                deadline: Self.deadline,
                outputLimit: 4_096
            )
            do {
                let outcome = try command.run()
                if outcome.timedOut { return say("\(program) took longer than \(Self.deadline.components.seconds) s") }
                if outcome.status != 0 { say("\(program) ended with status \(outcome.status)") }
            } catch {
                say("\(program): \(error)")
            }
        }
        guard !isTaken else { return }
        underWay.update { $0 -= 1 }
        say("\(program) was not told: too many of the operator's commands are running")
    }

    /// Waits for those that are under way, for as long as one may take at most.
    func finish() {
        _ = underWay.wait(until: .now + Self.deadline) { $0 == 0 ? true : nil }
    }
}
