import EnsignCrypto
package import EnsignModel
package import EnsignPolicy
import EnsignSystem
import Glibc
import Synchronization

/// Counts the calls of runs and of agents, for longer than this process: clients that start a process for each call are
/// counted like all others.
///
/// Two kinds of files in `<state>/runs/<team>/<agent>`: one of the agent, one of each run. Both are changed while the
/// agent's is locked, and hold no names of runs and no arguments, but fingerprints under a secret of the state. Safe from
/// any number of threads and processes.
package final class RunBook: Sendable {
    /// One call, as far as counting needs it.
    package struct Entry: Sendable {
        package var agent: AgentID
        package var run: String
        /// `TOOL.OPERATION`, or what was asked for where there is none.
        package var operation: String
        package var arguments: JSONValue

        package init(agent: AgentID, run: String, operation: String, arguments: JSONValue) {
            self.agent = agent
            self.run = run
            self.operation = operation
            self.arguments = arguments
        }
    }

    /// How a run began.
    package struct Beginning: Sendable, Hashable {
        package var bundle: Digest
        package var key: String

        package init(bundle: Digest, key: String) {
            self.bundle = bundle
            self.key = key
        }
    }

    private let folder: String
    private let salt: [UInt8]
    private let clock: @Sendable () -> Int64
    private let desks = Mutex<[AgentID: Desk]>([:])

    /// How long after its last call a run is forgotten, in seconds.
    package static let forgotten: Int64 = 86_400
    /// Agents whose counts are kept in memory.
    private static let most = 4_096

    /// - Parameters:
    ///   - state: The gateway's own folder; must exist.
    ///   - clock: Milliseconds since 1970.
    /// - Throws: ``SystemError`` when the folder cannot be used.
    package init(
        state: String,
        clock: @escaping @Sendable () -> Int64 = { Machine.nanoseconds / 1_000_000 }
    ) throws {
        folder = "\(state)/runs"
        self.clock = clock
        try Files.makeDirectories(folder, mode: 0o700)
        salt = try Self.secret("\(folder)/secret")
    }

    private static func secret(_ path: String) throws -> [UInt8] {
        _ = try Files.create(path, with: (0..<32).map { _ in UInt8.random(in: .min ... .max) }, mode: 0o600)
        guard let bytes = try Files.readOwn(path, limit: 64), bytes.count == 32 else {
            throw RecordFailure("\(path) is not what this gateway wrote")
        }
        return bytes
    }

    // MARK: Runs

    /// The name of the run that is going on for a key without a name of its own: one for ten minutes.
    package func window(of agent: AgentID, key: String) throws -> String {
        try desk(agent).access { (desk, turn) in
            let now = clock()
            let mark = fingerprint(["key", key])
            if let name = desk.agent.window(mark, at: now) { return name }
            let name = "window-\(String(UInt64.random(in: .min ... .max), radix: 36))"
            desk.write(AgentState.window(mark, name, at: now), &turn)
            return name
        }
    }

    /// How a run began; nil for one that has not.
    package func beginning(of run: String, _ agent: AgentID) throws -> Beginning? {
        try desk(agent).access { (desk, _) in
            try desk.run(fingerprint(["run", run]), clock()).map { Beginning(bundle: $0.bundle, key: $0.key) }
        }
    }

    /// Counts one call: everything that is known of it is shown to `decide`, and what that says is written down before
    /// anybody else's call is counted.
    ///
    /// - Parameters:
    ///   - beginning: How the run begins, if this is its first call.
    ///   - conditions: Calls that must have succeeded before.
    ///   - rates: Those of the operation.
    ///   - decide: Says whether the call is refused. Not called where the run began with another bundle.
    /// - Returns: Nil where the run began with another bundle than `beginning`: look at that one, then count again.
    package func count<Value>(
        _ entry: Entry,
        beginning: Beginning,
        conditions: [Precondition],
        rates: Set<CallRate.Period>,
        _ decide: (RunProgress) throws -> (value: Value, isRefused: Bool)
    ) throws -> Value? {
        let call = fingerprint(["call", entry.operation, entry.arguments.text])
        let name = fingerprint(["run", entry.run])
        return try desk(entry.agent).access { (desk, turn) in
            let now = clock()
            var run = try desk.run(name, now)
            if let run, run.bundle != beginning.bundle { return nil }
            var progress = self.progress(run, desk.agent, call: call, name, now)
            for rate in rates {
                progress.calls[rate] = desk.agent.calls(.init(operation: entry.operation, period: rate), at: now)
            }
            for condition in conditions where isFulfilled(condition, entry.arguments, run, now) {
                progress.fulfilled.insert(condition)
            }
            let (value, isRefused) = try decide(progress)
            var lines: [String] = []
            if run == nil {
                lines.append(RunState.beginning(beginning.bundle, beginning.key, at: now))
                run = RunState(bundle: beginning.bundle, key: beginning.key, began: now)
                desk.write(AgentState.begin(run: name, at: now), &turn)
            }
            lines.append(RunState.call(call, refused: isRefused, at: now))
            try desk.write(lines, to: name, run)
            desk.write(AgentState.call(call, run: name, refused: isRefused, at: now), &turn)
            for rate in rates {
                desk.write(AgentState.rated(.init(operation: entry.operation, period: rate), at: now), &turn)
            }
            return value
        }
    }

    private func progress(
        _ run: RunState?,
        _ agent: AgentState,
        call: String,
        _ name: String,
        _ now: Int64
    ) -> RunProgress {
        var progress = RunProgress()
        if let run {
            progress.steps = run.steps
            progress.milliseconds = max(0, now - run.began)
            progress.sameCalls = run.same[call] ?? 0
            progress.refusals = run.refusals
        } else {
            progress.otherRuns = agent.openRuns(besides: name, at: now)
            progress.runsInHour = agent.runsInHour(at: now)
        }
        progress.stepsInMinute = agent.stepsInMinute(at: now)
        progress.sameCallsInMinute = agent.sameInMinute(call, at: now)
        progress.refusalsInMinute = agent.refusalsInMinute(at: now)
        return progress
    }

    // MARK: Conditions

    /// Notes that a call has succeeded, for those that must come after it.
    ///
    /// - Parameter names: The arguments that conditions ask to be the same.
    package func succeeded(_ entry: Entry, names: Set<String>) throws {
        let arguments = names.sorted().compactMap { name in
            entry.arguments[name].map { fingerprint(["same", name, $0.text]) }
        }
        let run = fingerprint(["run", entry.run])
        try desk(entry.agent).access { (desk, _) in
            let now = clock()
            guard let state = try desk.run(run, now) else { return }
            try desk.write([RunState.success(entry.operation, arguments, at: now)], to: run, state)
        }
    }

    private func isFulfilled(
        _ condition: Precondition,
        _ arguments: JSONValue,
        _ run: RunState?,
        _ now: Int64
    ) -> Bool {
        var argument = ""
        if let same = condition.same {
            // Without the argument there is nothing that could be the same.
            guard let value = arguments[same] else { return false }
            argument = fingerprint(["same", same, value.text])
        }
        let success = RunState.Success(operation: condition.name, argument: argument)
        guard let time = run?.successes[success] else { return false }
        return time >= now.adding(saturating: -condition.within.milliseconds)
    }

    // MARK: Sweeping

    /// Forgets runs that nobody has heard of for a day.
    package func sweep() {
        let now = clock() / 1_000
        for team in names(in: folder) {
            for agent in names(in: "\(folder)/\(team)") {
                guard let id = AgentID("\(team)/\(agent)") else { continue }
                let place = "\(folder)/\(team)/\(agent)"
                for name in names(in: place) where name.hasPrefix("run-") {
                    let path = "\(place)/\(name)"
                    guard let status = try? Files.status(path), status.modified / 1_000_000_000 < now - Self.forgotten
                    else { continue }
                    try? desk(id).access { (desk, _) in desk.forget(path) }
                }
            }
        }
    }

    private func names(in folder: String) -> [String] { ((try? Files.list(folder)) ?? nil) ?? [] }

    // MARK: Desks

    private func desk(_ agent: AgentID) throws -> Desk {
        try desks.withLock { desks in
            if let desk = desks[agent] { return desk }
            let place = "\(folder)/\(agent.team)/\(agent.name)"
            try Files.makeDirectories(place, mode: 0o700)
            if desks.count >= Self.most { desks = [:] }
            let desk = Desk(place)
            desks[agent] = desk
            return desk
        }
    }

    /// A text that is equal for the same call with equal arguments, and tells nothing of them without the state's secret.
    package func mark(of arguments: JSONValue, in operation: String) -> String {
        "hmac:" + fingerprint(["call", operation, arguments.text])
    }

    /// 64 bits of a digest under the state's secret: equal for what is equal, and telling nothing else.
    private func fingerprint(_ parts: [String]) -> String {
        var bytes = salt
        for part in parts {
            let text = Array(part.utf8)
            bytes += Array("\(text.count):".utf8) + text
        }
        return String(SHA256.hex(of: bytes).prefix(16))
    }
}

/// What is known of one agent and its runs.
private final class Desk: Sendable {
    struct Contents {
        let place: String
        var agent = AgentState()
        var runs: [String: (file: EventFile, state: RunState?)] = [:]
        var file: EventFile

        /// Runs that are kept in memory.
        static let most = 4_096

        mutating func write(_ line: String, _ turn: inout EventFile.Turn) {
            agent.take(line)
            turn.added.append(line)
        }

        /// A run as its file says; nil for none. The agent's lock is for its runs, too.
        mutating func run(_ name: String, _ now: Int64) throws -> RunState? {
            var (file, state) = runs[name] ?? (EventFile("\(place)/run-\(name)"), nil)
            guard let news = try file.news() else {
                runs[name] = nil
                return nil
            }
            if news.isNew { state = news.lines.first.flatMap { RunState(beginning: $0) } }
            for line in news.isNew ? news.lines.dropFirst() : news.lines[...] { state?.take(line) }
            if news.size > EventFile.most, let state { try file.replace(state.lines) }
            if runs.count >= Self.most { runs = runs.filter { ($0.value.state?.last ?? 0) > now - AgentState.idle } }
            if runs.count >= Self.most { runs = [:] }
            runs[name] = (file, state)
            return state
        }

        /// Adds lines to a run's file.
        mutating func write(_ lines: [String], to name: String, _ state: RunState?) throws {
            var (file, _) = runs[name] ?? (EventFile("\(place)/run-\(name)"), nil)
            var state = state
            try file.append(lines)
            for line in lines { state?.take(line) }
            runs[name] = (file, state)
        }

        mutating func forget(_ path: String) {
            try? Files.remove(path)
            runs[path.split(separator: "-").last.map(String.init) ?? ""] = nil
        }
    }

    private let contents: Condition<Contents>

    init(_ place: String) { contents = Condition(Contents(place: place, file: EventFile("\(place)/agent"))) }

    /// Runs `body` while nobody else looks at this agent, in this process or another.
    func access<Value>(_ body: (inout Contents, inout EventFile.Turn) throws -> Value) throws -> Value {
        try contents.withLock { contents in
            var file = contents.file
            defer { contents.file = file }
            return try file.turn { turn in
                if turn.news.isNew { contents.agent = AgentState() }
                for line in turn.news.lines { contents.agent.take(line) }
                let value = try body(&contents, &turn)
                if turn.news.size > EventFile.most {
                    turn.replacement = contents.agent.lines(at: Machine.nanoseconds / 1_000_000)
                }
                return value
            }
        }
    }
}
