import EnsignSystem

/// Runs the operator's commands that are told of something and asked nothing: approvals to ask for, heads to keep.
///
/// Never in the way of a call: each runs on a thread of its own, bounded in number and in time, and those that find no place wait
/// for one in their order.
final class Errands: Sendable {
    private struct Errand: Sendable {
        let program: String
        let arguments: [String]
        let input: [UInt8]
    }

    private struct State {
        var running = 0
        var waiting: [Errand] = []
    }

    private let workers = WorkerPool(most: most)
    private let say: @Sendable (String) -> Void
    private let state = Condition(State())
    private let deadline: Duration

    /// The most commands at a time, and the most that wait.
    static let most = 8
    static let mostWaiting = 256

    /// - Parameter deadline: The most time that a command may take.
    init(deadline: Duration = .seconds(30), _ say: @escaping @Sendable (String) -> Void) {
        self.deadline = deadline
        self.say = say
    }

    /// - Parameters:
    ///   - words: An absolute path and arguments; none does nothing.
    ///   - input: What the command reads.
    func run(_ words: [String], input: [UInt8]) {
        guard let program = words.first else { return }
        let errand = Errand(program: program, arguments: Array(words.dropFirst()), input: input)
        enum Place { case runs, waits, none }
        let place = state.withLock { state -> Place in
            if state.running < Self.most {
                state.running += 1
                return .runs
            }
            guard state.waiting.count < Self.mostWaiting else { return .none }
            state.waiting.append(errand)
            return .waits
        }
        switch place {
        case .waits: break
        case .runs:
            if workers.run({ [self] in work(errand) }) { break }
            state.update { $0.running -= 1 }
            fallthrough
        case .none: say("\(program) was not told: too many of the operator's commands are running")
        }
    }

    private func work(_ first: Errand) {
        var next: Errand? = first
        while let errand = next {
            run(errand)
            next = state.update { state in
                if !state.waiting.isEmpty { return state.waiting.removeFirst() }
                state.running -= 1
                return nil
            }
        }
    }

    private func run(_ errand: Errand) {
        let program = errand.program
        let command = Subprocess.ofOperator(
            program,
            errand.arguments,
            input: errand.input,
            deadline: deadline,
            outputLimit: 4_096
        )
        do {
            let outcome = try command.run()
            if outcome.timedOut { return say("\(program) took longer than \(deadline.components.seconds) s") }
            if outcome.status != 0 { say("\(program) ended with status \(outcome.status)") }
        } catch {
            say("\(program): \(error)")
        }
    }

    /// Waits for those that are under way and those that wait for them, for as long as one may take at most.
    func finish() {
        guard state.wait(until: .now + deadline, { $0.running == 0 ? true : nil }) == nil else { return }
        let left = state.update { state in
            defer { state.waiting = [] }
            return Set(state.waiting.map(\.program)).sorted()
        }
        for program in left { say("\(program) was not told: too many of the operator's commands are running") }
    }
}
