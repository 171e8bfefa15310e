package import EnsignLedger
package import EnsignModel

/// What one agent was seen to call, and on which day last.
package struct OperationUse: Sendable, Hashable {
    /// The most operations that are kept of an agent: those that were called last.
    static let mostOperations = 20_000
    /// The most names that mean nothing granted.
    static let mostUnknown = 16

    /// By `<tool>.<operation>`.
    package private(set) var operations: [String: Day] = [:]
    /// Calls of something else, by the name that telemetry gave.
    package private(set) var unknown: [String: Day] = [:]
    /// The day of the last call of anything.
    package private(set) var lastCall: Day?

    package init() {}

    /// Notes a call.
    ///
    /// - Parameter operations: All that its name can mean.
    /// - Returns: Whether that is news.
    mutating func note(_ name: String, _ operations: [String], _ day: Day) -> Bool {
        var isNews = Self.raise(&lastCall, day)
        for operation in operations { isNews = Self.raise(&self.operations[operation], day) || isNews }
        if operations.isEmpty, unknown[name] != nil || unknown.count < Self.mostUnknown {
            isNews = Self.raise(&unknown[name.cut(utf8: 80)], day) || isNews
        }
        return isNews
    }

    mutating func formUnion(_ other: OperationUse) {
        if let day = other.lastCall { _ = Self.raise(&lastCall, day) }
        for (name, day) in other.operations { _ = Self.raise(&operations[name], day) }
        for (name, day) in other.unknown { _ = Self.raise(&unknown[name], day) }
        Self.trim(&operations, to: Self.mostOperations)
        Self.trim(&unknown, to: Self.mostUnknown)
    }

    private static func raise(_ known: inout Day?, _ day: Day) -> Bool {
        if let known, known >= day { return false }
        known = day
        return true
    }

    private static func trim(_ days: inout [String: Day], to most: Int) {
        guard days.count > most else { return }
        let newest = days.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(most)
        days = Dictionary(uniqueKeysWithValues: newest.map { ($0.key, $0.value) })
    }

    // MARK: Kept

    init?(json: JSONValue) {
        func days(_ value: JSONValue?) -> [String: Day]? {
            var found: [String: Day] = [:]
            for (name, day) in value?.object ?? [:] {
                guard let number = day.int else { return nil }
                found[name] = Day(number: number)
            }
            return found
        }
        guard let operations = days(json["operations"]), let unknown = days(json["unknown"]) else { return nil }
        (self.operations, self.unknown) = (operations, unknown)
        lastCall = json["lastCall"]?.int.map { Day(number: $0) }
    }

    var json: JSONValue {
        func object(_ days: [String: Day]) -> JSONValue {
            .object(JSONObject(days.map { ($0.key, .integer($0.value.number)) }))
        }
        return [
            "operations": object(operations), "unknown": object(unknown),
            "lastCall": lastCall.map { .integer($0.number) } ?? .null,
        ]
    }
}

/// What the agents of one team were seen to call: a file for each team, so that a day's first calls write little.
///
/// Days are enough for "not in 30 days", and an operation that is called all the time is written once a day.
package struct TeamUse: Sendable, Hashable {
    /// Since when it is kept: nothing is known of the days before.
    package private(set) var since: Day
    package private(set) var agents: [AgentID: OperationUse]

    init(since: Day, agents: [AgentID: OperationUse] = [:]) {
        self.since = since
        self.agents = agents
    }

    /// Takes up what was seen since it was written.
    mutating func formUnion(_ news: [AgentID: OperationUse]) {
        for (agent, use) in news { agents[agent, default: OperationUse()].formUnion(use) }
    }
}

extension TeamUse: StateValue {
    package static let kind = StateKind("state/<env>/use.<part>", .memory, limit: 1 << 27, isDurable: true)

    /// Nil when any part cannot be read: an operation that is missing would look as if it was never called.
    package init?(_ contents: StateContents) {
        guard let since = contents["since"]?.int else { return nil }
        self.init(since: Day(number: since))
        for record in contents.records {
            guard let agent = AgentID(record.key), let use = record.value.flatMap({ OperationUse(json: $0) }) else {
                return nil
            }
            agents[agent] = use
        }
    }

    package var contents: StateContents {
        StateContents(
            ["since": .integer(since.number)],
            records: agents.sorted { $0.key < $1.key }.map { StateRecord($0.key.description, $0.value.json) }
        )
    }
}
