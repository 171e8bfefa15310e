import EnsignModel

/// What happens to an agent, whatever run it is in: a line of its file each.
enum AgentEvent: Sendable {
    case call(Mark, run: Mark, isRefused: Bool)
    /// A call for which people have been asked already: it was counted then.
    case repeated(run: Mark, isRefused: Bool)
    /// People are asked for a call.
    case asked(AgentState.Question, AgentState.Asked)
    /// Nobody is asked for it any more.
    case settled(AgentState.Question)
    /// A refused call of a run for which there was no room.
    case turnedAway(Mark)
    /// A run has used up what it may, or will have by then: it gives up its place.
    case over(run: Mark)
    case began(run: Mark)
    /// So many calls of an operation that has a rate.
    case rated(AgentState.Rate, count: Int64)
    /// The name of the run without one that begins for a session's key.
    case window(Mark, name: String)
    /// A number that is left of a longer file.
    case kept(Kept, count: Int64)

    enum Kept: Sendable {
        /// The bytes that were left of it.
        case size
        case steps, refusals, begun
        case same(Mark)
        case open(Mark)
    }

    /// - Parameter time: Milliseconds since 1970.
    func line(at time: Int64) -> String {
        switch self {
        case .call(let call, let run, let isRefused): "\(isRefused ? "r" : "c") \(time) \(call.hex) \(run.hex)"
        case .repeated(let run, let isRefused): "\(isRefused ? "v" : "p") \(time) \(run.hex)"
        case .asked(let question, let asked):
            (["a", "\(time)", question.call.hex, question.run.hex, "\(asked.until)", "\(asked.since)"]
                + (asked.window.map { [$0.key.hex, $0.name] } ?? [])).joined(separator: " ")
        case .settled(let question): "e \(time) \(question.call.hex) \(question.run.hex)"
        case .turnedAway(let call): "t \(time) \(call.hex)"
        case .over(let run): "o \(time) \(run.hex)"
        case .began(let run): "n \(time) \(run.hex)"
        case .rated(let rate, let count):
            "q \(time) \(rate.period.rawValue) \(rate.operation)\(count == 1 ? "" : " \(count)")"
        case .window(let key, let name): "w \(time) \(key.hex) \(name)"
        case .kept(let kept, let count): "k \(time) \(kept.words) \(count)"
        }
    }

    /// Reads a line back; nil for one that is not understood, which changes nothing.
    static func read(_ line: Substring) -> (event: AgentEvent, time: Int64)? {
        let parts = line.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count >= 3, let time = Int64(parts[1]), let event = event(parts) ?? asking(parts, time) else {
            return nil
        }
        return (event, time)
    }

    /// What is about a call for which people are asked.
    private static func asking(_ parts: [Substring], _ time: Int64) -> AgentEvent? {
        func question() -> AgentState.Question? {
            guard parts.count > 3, let call = Mark(parts[2]), let run = Mark(parts[3]) else { return nil }
            return AgentState.Question(call: call, run: run)
        }
        switch parts[0] {
        case "p", "v": return Mark(parts[2]).map { .repeated(run: $0, isRefused: parts[0] == "v") }
        case "e": return question().map { .settled($0) }
        case "a":
            guard let question = question(), parts.count > 5, let until = Int64(parts[4]), let since = Int64(parts[5])
            else { return nil }
            var asked = AgentState.Asked(since: since, rated: time, until: until)
            if parts.count > 7, let key = Mark(parts[6]) { asked.window = (key, String(parts[7])) }
            return .asked(question, asked)
        default: return nil
        }
    }

    private static func event(_ parts: [Substring]) -> AgentEvent? {
        let count = parts.count > 4 ? Int64(parts[4]) ?? 1 : 1
        switch (parts[0], parts.count) {
        case ("c", 4...), ("r", 4...):
            guard let call = Mark(parts[2]), let run = Mark(parts[3]) else { return nil }
            return .call(call, run: run, isRefused: parts[0] == "r")
        case ("t", _): return Mark(parts[2]).map { .turnedAway($0) }
        case ("o", _): return Mark(parts[2]).map { .over(run: $0) }
        case ("n", _): return Mark(parts[2]).map { .began(run: $0) }
        case ("q", 4...):
            guard let period = CallRate.Period(rawValue: String(parts[2])) else { return nil }
            return .rated(AgentState.Rate(operation: String(parts[3]), period: period), count: count)
        case ("w", 4...): return Mark(parts[2]).map { .window($0, name: String(parts[3])) }
        case ("k", 5): return Kept(parts[2], parts[3]).map { .kept($0, count: count) }
        default: return nil
        }
    }
}

extension AgentEvent.Kept {
    fileprivate var words: String {
        switch self {
        case .size: "size -"
        case .steps: "steps -"
        case .refusals: "refusals -"
        case .begun: "begun -"
        case .same(let call): "same \(call.hex)"
        case .open(let run): "open \(run.hex)"
        }
    }

    fileprivate init?(_ kind: Substring, _ name: Substring) {
        switch kind {
        case "size": self = .size
        case "steps": self = .steps
        case "refusals": self = .refusals
        case "begun": self = .begun
        case "same":
            guard let call = Mark(name) else { return nil }
            self = .same(call)
        case "open":
            guard let run = Mark(name) else { return nil }
            self = .open(run)
        default: return nil
        }
    }
}
