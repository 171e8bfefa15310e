import EnsignModel
import EnsignSystem

/// What is known of one agent and its runs: two kinds of files, of which the agent's has the lock for all.
final class RunDesk: Sendable {
    private let contents: Condition<Contents>
    private let keepsOpen: Bool

    /// - Parameters:
    ///   - place: The agent's folder.
    ///   - keepsOpen: Whether its files stay open between calls: an agent's, and its last run's.
    init(_ place: String, keepsOpen: Bool) {
        contents = Condition(Contents(place))
        self.keepsOpen = keepsOpen
    }

    /// Runs `body` while nobody else looks at this agent, in this process or another.
    func access<Value>(_ body: (inout Contents, inout EventFile.Turn) throws -> Value) throws -> Value {
        try contents.withLock { contents in
            var file = contents.file
            defer {
                if !keepsOpen {
                    file.close()
                    contents.closeRun()
                }
                contents.file = file
            }
            return try file.turn { turn in
                contents.take(turn.news)
                let value = try body(&contents, &turn)
                if turn.news.size > contents.agent.most {
                    turn.replacement = contents.agent.shortened(at: Machine.nanoseconds / 1_000_000)
                }
                return value
            }
        }
    }

    /// How a run began, as far as this process knows without looking: nil for one of which nothing was heard for a while.
    func remembered(_ run: Mark, at now: Int64) -> RunBook.Beginning? {
        contents.withLock { contents in
            contents.asked(run) { state in
                guard let state, state.last > now - AgentState.idle else { return nil }
                return RunBook.Beginning(bundle: state.bundle, key: state.key)
            }
        }
    }
}

extension RunDesk {
    struct Contents {
        private let place: String
        fileprivate(set) var agent = AgentState()
        fileprivate var file: EventFile
        fileprivate var runs: [Mark: Run] = [:]
        /// The run whose file is kept open.
        private var current: Mark?

        /// Runs that are kept in memory.
        private static let most = 4_096

        fileprivate struct Run {
            var file: EventFile
            var state: RunState?
        }

        fileprivate init(_ place: String) {
            self.place = place
            file = EventFile("\(place)/agent")
        }

        // MARK: The agent

        fileprivate mutating func take(_ news: EventFile.News) {
            if news.isNew { agent = AgentState() }
            for line in news.lines {
                if let (event, time) = AgentEvent.read(line) { agent.take(event, at: time) }
            }
        }

        mutating func write(_ event: AgentEvent, at now: Int64, _ turn: inout EventFile.Turn) {
            agent.take(event, at: now)
            turn.added.append(event.line(at: now))
        }

        // MARK: Runs

        /// Brings a run up to date with its file, and forgets one of which nothing was heard for too long. The agent's lock is for its runs, too.
        mutating func look(at name: Mark, _ now: Int64) throws {
            if current != name {
                closeRun()
                current = name
                if runs.count >= Self.most, runs[name] == nil {
                    runs = runs.filter { ($0.value.state?.last ?? 0) > now - AgentState.idle }
                    if runs.count >= Self.most { runs = [:] }
                }
            }
            let new = Run(file: EventFile(path(of: name)), state: nil)
            try runs[name, default: new].look()
            if let state = runs[name]?.state, state.last <= now.subtracting(saturating: RunState.kept),
                !agent.asks(in: name, at: now)
            {
                // The next call of this name begins another run.
                forget(name)
                runs[name] = new
            }
        }

        /// Asks a run for something; nil for one that has not begun. In a function of its own, so that nobody holds the
        /// state when it is changed: it would be copied.
        func asked<Value>(_ name: Mark, _ body: (RunState?) -> Value) -> Value { body(runs[name]?.state) }

        /// Adds what happened to a run that was looked at.
        mutating func write(_ events: [RunEvent], to name: Mark, at now: Int64) throws {
            try runs[name]?.write(events, at: now)
        }

        mutating func forget(_ name: Mark) {
            try? Files.remove(path(of: name))
            runs[name] = nil
        }

        fileprivate mutating func closeRun() {
            guard let name = current else { return }
            runs[name]?.file.close()
            current = nil
        }

        func path(of name: Mark) -> String { "\(place)/run-\(name.hex)" }
    }
}

extension RunDesk.Contents.Run {
    mutating func look() throws {
        guard let news = try file.news() else {
            state = nil
            return
        }
        if news.isNew { state = nil }
        for line in news.lines {
            if let (event, time) = RunEvent.read(line) { take(event, at: time) }
        }
        if let state, news.size > state.most { try file.replace(state.lines) }
    }

    mutating func write(_ events: [RunEvent], at now: Int64) throws {
        try file.append(events.map { $0.line(at: now) })
        for event in events { take(event, at: now) }
    }

    private mutating func take(_ event: RunEvent, at time: Int64) {
        if state == nil, case .began(let bundle, let key) = event {
            state = RunState(bundle: bundle, key: key, began: time)
        } else {
            state?.take(event, at: time)
        }
    }
}
