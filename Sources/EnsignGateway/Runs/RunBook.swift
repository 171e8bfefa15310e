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
        /// For whom it is made, as far as people who are asked are told: another question for each.
        package var askers: [String]
        /// The session's key, where nobody has named the run.
        package var window: String?

        package init(
            agent: AgentID,
            run: String,
            operation: String,
            arguments: JSONValue,
            askers: [String] = [],
            window: String? = nil
        ) {
            self.agent = agent
            self.run = run
            self.operation = operation
            self.arguments = arguments
            self.askers = askers
            self.window = window
        }
    }

    /// What becomes of a call that is counted.
    package enum Fate: Sendable, Hashable {
        case made
        /// Allowed once people agree: counted once, however often it comes until it is made.
        case asks
        case refused
        /// Refused in a run for which there is no room: it is not open, and its next call is asked the same.
        case turnedAway
        /// Refused in a run that has used up what it may: its place is free, unless people are still asked for one of its calls.
        case over
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

    /// What is found where a call is to be counted.
    package enum Answer<Value> {
        case counted(Value)
        /// The run began with another bundle, or has begun, or has not: look at it, then count again.
        case begunOtherwise
        /// People are asked for it in an earlier run of ten minutes: there it belongs.
        case asked(inRun: String)
    }

    let folder: String
    private let salt: [UInt8]
    let clock: @Sendable () -> Int64
    let desks = Mutex<[AgentID: RunDesk]>([:])
    let sweeping = Mutex(Sweep())

    /// Agents whose counts are kept in memory.
    private static let most = 4_096
    /// Of them, those whose files stay open: two descriptors each.
    private static let mostOpen = 256

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
            let mark = mark(["key", key])
            if let name = desk.agent.window(mark, at: now) { return name }
            let name = "window-\(String(UInt64.random(in: .min ... .max), radix: 36))"
            desk.write(.window(mark, name: name), at: now, &turn)
            return name
        }
    }

    /// How a run began; nil for one that has not.
    ///
    /// - Parameter isRemembered: Whether what this process remembers is good enough. A run that was forgotten since is
    ///   found out when its next call is counted.
    package func beginning(of run: String, _ agent: AgentID, isRemembered: Bool = false) throws -> Beginning? {
        let (desk, name) = (try desk(agent), mark(["run", run]))
        if isRemembered, let beginning = desk.remembered(name, at: clock()) { return beginning }
        return try desk.access { (desk, _) in
            try desk.look(at: name, clock())
            return desk.asked(name) { run in run.map { Beginning(bundle: $0.bundle, key: $0.key) } }
        }
    }

    /// Counts one call: everything that is known of it is shown to `decide`, and what that says is written down before
    /// anybody else's call is counted.
    ///
    /// - Parameters:
    ///   - beginning: How the run began, or begins if this is its first call.
    ///   - isBegun: Whether it had begun.
    ///   - conditions: Calls that must have succeeded before.
    ///   - rates: Those of the operation.
    ///   - limits: Of the bundles that must allow the call: by them a run is over.
    ///   - decide: Says what becomes of the call. Called only where it is counted.
    package func count<Value>(
        _ entry: Entry,
        beginning: Beginning,
        isBegun: Bool = false,
        conditions: [Precondition],
        rates: Set<CallRate.Period>,
        limits: [BundleLimits] = [],
        _ decide: (RunProgress) throws -> (value: Value, fate: Fate)
    ) throws -> Answer<Value> {
        let call = mark(["call", entry.operation, entry.arguments.text])
        let name = mark(["run", entry.run])
        return try desk(entry.agent).access { (desk, turn) in
            let now = clock()
            let earlier: Earlier?
            switch self.earlier(entry, in: name, desk.agent, now) {
            case .elsewhere(let run): return .asked(inRun: run)
            case .here(let found): earlier = found
            }
            try desk.look(at: name, now)
            let bundle = desk.asked(name) { $0?.bundle }
            guard bundle.map({ $0 == beginning.bundle }) ?? !isBegun else { return .begunOtherwise }
            let progress = desk.asked(name) { run in
                var progress = Self.progress(run, desk.agent, call: call, name, now)
                for rate in rates {
                    progress.calls[rate] = desk.agent.calls(.init(operation: entry.operation, period: rate), at: now)
                }
                for condition in conditions where isFulfilled(condition, entry.arguments, run, now) {
                    progress.fulfilled.insert(condition)
                }
                // A run that was forgotten has counted nothing.
                if let run, let earlier { progress.forget(earlier.asked, of: run, at: now) }
                return progress
            }
            var (value, fate) = try decide(progress)
            // What people agree to in time is made in time, and needs a place.
            if fate == .over, desk.agent.asks(in: name, at: now) {
                fate = desk.agent.isOpen(name, at: now) ? .refused : .turnedAway
            }
            let writing = Writing(fate: fate, call: call, run: name, beginning: bundle == nil ? beginning : nil)
            let isRated =
                if let earlier, bundle != nil {
                    try writing.again(earlier, rates, now, &desk, &turn)
                } else {
                    try writing.first(now, &desk, &turn)
                }
            if let end = desk.asked(name, { Self.end(of: $0, limits, now) }), desk.agent.isOpen(name, at: now),
                desk.agent.knownEnd(of: name) != end
            {
                desk.write(.over(run: name), at: end, &turn)
            }
            for rate in rates where isRated {
                desk.write(.rated(.init(operation: entry.operation, period: rate), count: 1), at: now, &turn)
            }
            return .counted(value)
        }
    }

    /// A call for which people were asked when it came before.
    struct Earlier {
        var question: AgentState.Question
        var asked: AgentState.Asked
    }

    private enum Asking {
        case here(Earlier?)
        /// In an earlier run of ten minutes, of this name.
        case elsewhere(String)
    }

    private func earlier(_ entry: Entry, in run: Mark, _ agent: AgentState, _ now: Int64) -> Asking {
        guard agent.asksAnybody else { return .here(nil) }
        let question = question(entry, in: run)
        if let key = entry.window.map({ mark(["key", $0]) }),
            let earlier = agent.window(asking: question.call, key, besides: run, at: now)
        {
            return .elsewhere(earlier)
        }
        return .here(agent.asked(question, at: now).map { Earlier(question: question, asked: $0) })
    }

    private static func progress(
        _ run: RunState?,
        _ agent: AgentState,
        call: Mark,
        _ name: Mark,
        _ now: Int64
    ) -> RunProgress {
        var progress = RunProgress()
        if let run {
            progress.steps = run.steps
            progress.milliseconds = max(0, now - run.began)
            progress.sameCalls = run.calls(call)
            progress.refusals = run.refusals
        } else {
            progress.runsInHour = agent.runsInHour(at: now)
        }
        if run == nil || !agent.isOpen(name, at: now) { progress.otherRuns = agent.openRuns(besides: name, at: now) }
        progress.stepsInMinute = agent.stepsInMinute(at: now)
        progress.sameCallsInMinute = agent.sameInMinute(call, at: now)
        progress.refusalsInMinute = agent.refusalsInMinute(at: now)
        return progress
    }

    /// When a run is over by its steps or its seconds; nil where they do not say, or nobody needs its place.
    private static func end(of run: RunState?, _ limits: [BundleLimits], _ now: Int64) -> Int64? {
        guard let run, limits.contains(where: { $0.runs != nil }) else { return nil }
        if let most = limits.compactMap(\.run.steps).min(), run.steps >= most { return now }
        let seconds = limits.compactMap(\.run.seconds).min()
        return seconds.map { run.began.adding(saturating: $0.multiplied(saturating: 1_000)) }
    }

    // MARK: Calls for which people are asked

    /// Notes that people are asked for a call: until then it counts once, however often it comes.
    ///
    /// - Parameter until: The last moment at which the call may be made, in seconds since 1970.
    package func asked(_ entry: Entry, until: Int64) throws {
        let name = mark(["run", entry.run])
        let question = question(entry, in: name)
        try desk(entry.agent).access { (desk, turn) in
            let now = clock()
            let end = until.multiplied(saturating: 1_000).adding(saturating: 999)
            // Where another request follows on the first one it is still the same call.
            var asked = desk.agent.asked(question, at: now) ?? AgentState.Asked(since: now, rated: now, until: 0)
            guard asked.until != end else { return }
            asked.until = end
            asked.window = entry.window.map { (mark(["key", $0]), entry.run) }
            desk.write(.asked(question, asked), at: now, &turn)
        }
    }

    /// Notes that a call for which people were asked is made, or denied: the next one like it is another one.
    package func settled(_ entry: Entry) throws {
        let question = question(entry, in: mark(["run", entry.run]))
        try desk(entry.agent).access { (desk, turn) in
            let now = clock()
            guard desk.agent.asked(question, at: now) != nil else { return }
            desk.write(.settled(question), at: now, &turn)
        }
    }

    private func question(_ entry: Entry, in run: Mark) -> AgentState.Question {
        let call = mark(["asked", entry.operation, entry.arguments.text] + entry.askers)
        return AgentState.Question(call: call, run: run)
    }

    // MARK: Conditions

    /// Notes that a call has succeeded, for those that must come after it.
    ///
    /// - Parameter names: The arguments that conditions ask to be the same.
    package func succeeded(_ entry: Entry, names: Set<String>) throws {
        let arguments = names.sorted().compactMap { name in
            entry.arguments[name].map { mark(["same", name, $0.text]) }
        }
        let run = mark(["run", entry.run])
        try desk(entry.agent).access { (desk, _) in
            let now = clock()
            try desk.look(at: run, now)
            guard desk.asked(run, { $0 != nil }) else { return }
            try desk.write([.success(entry.operation, arguments: arguments)], to: run, at: now)
        }
    }

    private func isFulfilled(
        _ condition: Precondition,
        _ arguments: JSONValue,
        _ run: RunState?,
        _ now: Int64
    ) -> Bool {
        var argument: Mark?
        if let same = condition.same {
            // Without the argument there is nothing that could be the same.
            guard let value = arguments[same] else { return false }
            argument = mark(["same", same, value.text])
        }
        guard let time = run?.success(of: condition.name, with: argument) else { return false }
        return time >= now.adding(saturating: -condition.within.milliseconds)
    }

    // MARK: Desks

    private func desk(_ agent: AgentID) throws -> RunDesk {
        try desks.withLock { desks in
            if let desk = desks[agent] { return desk }
            let place = "\(folder)/\(agent.team)/\(agent.name)"
            try Files.makeDirectories(place, mode: 0o700)
            if desks.count >= Self.most { desks = [:] }
            let desk = RunDesk(place, keepsOpen: desks.count < Self.mostOpen)
            desks[agent] = desk
            return desk
        }
    }

    /// A text that is equal for the same call with equal arguments, and tells nothing of them without the state's secret.
    package func mark(of arguments: JSONValue, in operation: String) -> String {
        "hmac:" + mark(["call", operation, arguments.text]).hex
    }

    private func mark(_ parts: [String]) -> Mark { Mark(of: parts, secret: salt) }
}
