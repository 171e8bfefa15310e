package import EnsignModel

extension Attribution {
    /// The state, to be written together with the reader's cursor and what was made of the samples.
    ///
    /// Some 1 MB for the window of span ids when it is full, and some 250 bytes for each open trace.
    package var json: JSONValue {
        [
            "v": 1,
            "environment": .string(environment),
            "rejections": rejections.json,
            "seen": .string(seen.text),
            "dues": .array(
                dues.all.map { [.integer($0.due.nanoseconds), .string($0.trace.hex), .string(hex($0.span))] }
            ),
            // In the order in which they would be forgotten.
            "traces": .array(
                touches.all.compactMap { touch in
                    traces[touch.trace].map { trace in
                        [
                            .integer(touch.touched.nanoseconds), .string(touch.trace.hex), trace.json,
                        ]
                    }
                }
            ),
        ]
    }

    /// Reads a state back; nil if it is none, or of a version that is not known.
    package init?(json: JSONValue, limits: Limits = Limits()) {
        guard json["v"]?.int == 1, let environment = json["environment"]?.string,
            let seen = json["seen"]?.string.flatMap({ SeenWindow(text: $0, limit: limits.seen) }),
            let dues = json["dues"]?.array, let traces = json["traces"]?.array, let rejections = json["rejections"]
        else { return nil }
        self.init(environment: environment, limits: limits)
        self.seen = seen
        self.rejections = Rejections(json: rejections)
        for due in dues {
            guard let time = due[0]?.int, let trace = due[1]?.string.flatMap({ TraceID(hex: $0) }),
                let span = due[2]?.spanID
            else { return nil }
            self.dues.append((Moment(nanoseconds: time), trace, span))
        }
        for value in traces {
            guard let touched = value[0]?.int, let id = value[1]?.string.flatMap({ TraceID(hex: $0) }),
                let trace = value[2].flatMap({ OpenTrace(json: $0) })
            else { return nil }
            touches.append((Moment(nanoseconds: touched), id))
            if let older = self.traces.updateValue(trace, forKey: id) { spans -= older.spanCount }
            spans += trace.spanCount
        }
    }
}

private func hex(_ word: UInt64) -> String { String(word, radix: 16) }

extension TraceID {
    fileprivate var hex: String {
        let low = String(self.low, radix: 16)
        return String(high, radix: 16) + String(repeating: "0", count: 16 - low.count) + low
    }

    fileprivate init?(hex: String) {
        guard hex.utf8.count > 16, hex.utf8.count <= 32, let high = UInt64(hex.dropLast(16), radix: 16),
            let low = UInt64(hex.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }
}

extension JSONValue {
    fileprivate var spanID: SpanID? { string.flatMap { UInt64($0, radix: 16) } }

    fileprivate var moment: Moment? { int.map { Moment(nanoseconds: $0) } }
}

extension OpenTrace {
    fileprivate var json: JSONValue {
        [
            "touched": .integer(touched.nanoseconds),
            "links": .array(
                links.sorted { $0.key < $1.key }.map {
                    .array(
                        [.string(hex($0.key)), .string(hex($0.value.parent)), .bool($0.value.coversUsage)]
                            + ($0.value.claimant.map { [.string($0.description)] } ?? [])
                    )
                }
            ),
            "groups": .array(groups.sorted { $0.key < $1.key }.map { [.string(hex($0.key)), $0.value.json] }),
        ]
    }

    fileprivate init?(json: JSONValue) {
        guard let touched = json["touched"]?.moment, let links = json["links"]?.array,
            let groups = json["groups"]?.array
        else { return nil }
        self.init(touched: touched)
        for link in links {
            guard let span = link[0]?.spanID, let parent = link[1]?.spanID, let covers = link[2]?.bool else {
                return nil
            }
            self.links[span] = Link(
                parent: parent,
                coversUsage: covers,
                claimant: link[3]?.string.flatMap { AgentID($0) }
            )
        }
        for entry in groups {
            guard let span = entry[0]?.spanID, let group = entry[1].flatMap({ Group(json: $0) }) else { return nil }
            self.groups[span] = group
        }
    }
}

extension Group {
    fileprivate var json: JSONValue {
        // Of a settled run nothing is asked any more but whose it was; its calls go on counting for the kill switch.
        var object: JSONObject = ["settled": .bool(isSettled)]
        unclaimed.write(to: &object)
        if let run { object["run"] = run.json }
        if !claimed.isEmpty {
            object["claims"] = .array(
                claimed.sorted { $0.key < $1.key }.map { agent, tally in
                    var object: JSONObject = ["agent": .string(agent.description)]
                    tally.write(to: &object)
                    return .object(object)
                }
            )
        }
        if !waiting.isEmpty { object["waiting"] = .array(waiting.compactMap(\.json)) }
        if !evaluations.isEmpty { object["evaluations"] = .array(evaluations.map(\.json)) }
        return .object(object)
    }

    fileprivate init?(json: JSONValue) {
        guard let isSettled = json["settled"]?.bool else { return nil }
        self.isSettled = isSettled
        guard let unclaimed = Tally(json: json) else { return nil }
        self.unclaimed = unclaimed
        if let value = json["run"] {
            guard let run = Run(json: value) else { return nil }
            self.run = run
        }
        for value in json["claims"]?.array ?? [] {
            guard let agent = value["agent"]?.string.flatMap({ AgentID($0) }), let tally = Tally(json: value) else {
                return nil
            }
            claimed[agent] = tally
        }
        // Older versions had one claimant for all that is in a group without a run.
        if run == nil, let agent = json["claimed"]?.string.flatMap({ AgentID($0) }) {
            claimed[agent] = unclaimed
            self.unclaimed = Tally()
        }
        waiting = (json["waiting"]?.array ?? []).compactMap { Waiting(json: $0) }
        evaluations = (json["evaluations"]?.array ?? []).compactMap { Evaluation(json: $0) }
    }
}

extension Tally {
    fileprivate func write(to object: inout JSONObject) {
        if calls != 0 || failed != 0 || denied != 0 {
            object["counts"] = [.integer(calls), .integer(failed), .integer(denied)]
        }
        if nested.isKnown { object["nested"] = nested.json }
        if inside.isKnown { object["inside"] = inside.json }
        if told != 0 { object["told"] = JSONValue(told) }
    }

    fileprivate init?(json: JSONValue) {
        self.init()
        if let counts = json["counts"] {
            guard let calls = counts[0]?.count, let failed = counts[1]?.count, let denied = counts[2]?.count else {
                return nil
            }
            (self.calls, self.failed, self.denied) = (calls, failed, denied)
        }
        if let value = json["nested"] {
            guard let nested = Spending(json: value) else { return nil }
            self.nested = nested
        }
        if let value = json["inside"] {
            guard let inside = Spending(json: value) else { return nil }
            self.inside = inside
        }
        told = json["told"]?.double ?? 0
    }
}

extension Group.Waiting {
    /// Only calls wait.
    fileprivate var json: JSONValue? {
        guard case .call(let call) = kind else { return nil }
        return [
            .integer(time.nanoseconds), .string(call.tool), call.arguments.map { .string(hex($0)) } ?? .null,
            .bool(call.isDenied), claimant.map { .string($0.description) } ?? .null,
        ]
    }

    fileprivate init?(json: JSONValue) {
        guard let time = json[0]?.moment, let tool = json[1]?.string, let isDenied = json[3]?.bool else { return nil }
        let call = ToolCall(tool: tool, arguments: json[2]?.spanID, isDenied: isDenied)
        self.init(claimant: json[4]?.string.flatMap { AgentID($0) }, kind: .call(call), time: time)
    }
}

extension Spending {
    fileprivate var json: JSONValue {
        [.integer(tokens), JSONValue(cost), .bool(isKnown), .bool(isBad), .bool(isUnpriced)]
    }

    fileprivate init?(json: JSONValue) {
        guard let tokens = json[0]?.int, tokens >= 0, let cost = json[1]?.double, let isKnown = json[2]?.bool,
            let isBad = json[3]?.bool, let isUnpriced = json[4]?.bool
        else { return nil }
        self.init(tokens: tokens, cost: cost, isKnown: isKnown, isBad: isBad, isUnpriced: isUnpriced)
    }
}

extension Run {
    /// `bundle` is left out where it is the target, as it mostly is.
    fileprivate var json: JSONValue {
        [
            agent.map { .string($0.description) } ?? .null, target.map { .string($0.hex) } ?? .null,
            bundle == target ? .null : bundle.map { .string($0.hex) } ?? .null, .string(hex(parent)),
            .bool(hasSucceeded), .integer(start.nanoseconds), .integer(end.nanoseconds), own?.json ?? .null,
        ]
    }

    fileprivate init?(json: JSONValue) {
        guard let parent = json[3]?.spanID, let hasSucceeded = json[4]?.bool, let start = json[5]?.moment,
            let end = json[6]?.moment
        else { return nil }
        let target = json[1]?.string.flatMap { Digest(hex: $0) }
        self.init(
            agent: json[0]?.string.flatMap { AgentID($0) },
            bundle: json[2]?.string.flatMap { Digest(hex: $0) } ?? target,
            target: target,
            parent: parent,
            hasSucceeded: hasSucceeded,
            start: start,
            end: end,
            own: json[7].flatMap { $0.isNull ? nil : Spending(json: $0) }
        )
    }
}

extension Evaluation {
    fileprivate var json: JSONValue {
        [.string(name), JSONValue(score), .bool(hasPassed), .integer(time.nanoseconds)]
    }

    fileprivate init?(json: JSONValue) {
        guard let name = json[0]?.string, let score = json[1]?.double, let hasPassed = json[2]?.bool,
            let time = json[3]?.moment
        else { return nil }
        self.init(name: name, score: score, hasPassed: hasPassed, time: time)
    }
}
