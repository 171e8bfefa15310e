package import EnsignModel

extension KillSwitch {
    /// The state, to be written together with the telemetry cursor that it belongs to.
    package var json: JSONValue {
        let agents = agents.sorted { $0.key < $1.key }.map { agent, watch -> JSONValue in
            var object: JSONObject = [
                "agent": .string(agent.description),
                "since": watch.since.map { .integer($0.nanoseconds) } ?? .null,
                "tripped": .bool(watch.hasTripped),
                "latest": .integer(watch.latest.nanoseconds),
                "spent": .array(watch.spent.entries.map { [.integer($0.time), JSONValue($0.amount)] }),
                "denied": .array(watch.denied.times.map { .integer($0) }),
                "unknown": .array(watch.unknown.times.map { .integer($0) }),
                "calls": .array(
                    watch.calls.sorted { ($0.key.tool, $0.key.arguments) < ($1.key.tool, $1.key.arguments) }.map(call)
                ),
            ]
            let late = ["spent": watch.spent.late, "denied": watch.denied.late, "unknown": watch.unknown.late]
                .compactMapValues { $0 }
            if !late.isEmpty { object["late"] = .object(JSONObject(late.map { ($0.key, .integer($0.value)) })) }
            return .object(object)
        }
        return ["v": 1, "agents": .array(agents)]
    }

    private func call(_ key: CallKey, _ times: TimeWindow) -> JSONValue {
        var members: [JSONValue] = [
            .string(key.tool), .string(String(key.arguments, radix: 16)), .array(times.times.map { .integer($0) }),
        ]
        if let late = times.late { members.append(.integer(late)) }
        return .array(members)
    }

    /// Reads a state back; nil if it is not one, or of an unknown version.
    package init?(json: JSONValue, limits: Limits = Limits()) {
        guard json["v"]?.int == 1, let list = json["agents"]?.array else { return nil }
        self.init(limits: limits)
        for value in list {
            guard let agent = value["agent"]?.string.flatMap({ AgentID($0) }), let tripped = value["tripped"]?.bool,
                let latest = value["latest"]?.int, let denied = Self.times(value["denied"]),
                let unknown = Self.times(value["unknown"]), let spent = value["spent"]?.array,
                let calls = value["calls"]?.array
            else { return nil }
            var watch = Watch()
            watch.since = value["since"]?.int.map { Moment(nanoseconds: $0) }
            watch.hasTripped = tripped
            watch.latest = Moment(nanoseconds: latest)
            (watch.denied, watch.unknown) = (denied, unknown)
            let late = value["late"]
            (watch.denied.late, watch.unknown.late) = (late?["denied"]?.int, late?["unknown"]?.int)
            watch.spent.late = late?["spent"]?.int
            for entry in spent {
                guard let time = entry[0]?.int, let amount = entry[1]?.double else { return nil }
                watch.spent.entries.append(AmountWindow.Entry(time: time, amount: amount))
            }
            for call in calls {
                guard let tool = call[0]?.string, let arguments = call[1]?.string.flatMap({ UInt64($0, radix: 16) }),
                    var times = Self.times(call[2])
                else { return nil }
                times.late = call[3]?.int
                watch.calls[CallKey(tool: tool, arguments: arguments)] = times
            }
            agents[agent] = watch
        }
        kept = agents.values.reduce(0) { $0 + $1.kept }
    }

    private static func times(_ json: JSONValue?) -> TimeWindow? {
        guard let list = json?.array else { return nil }
        let times = list.compactMap(\.int)
        return times.count == list.count && times == times.sorted() ? TimeWindow(times: times) : nil
    }
}
