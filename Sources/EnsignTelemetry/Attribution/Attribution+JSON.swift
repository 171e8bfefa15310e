package import EnsignModel

extension Attribution {
    /// The state, to be written together with the reader's cursor and what was made of the samples.
    ///
    /// Some 1 MB for the window of span ids when it is full, and some 250 bytes for each open trace.
    package var json: JSONValue {
        var object: JSONObject = [
            "v": 1,
            "environment": .string(environment),
            "rejections": rejections.json,
            "seen": .string(seen.text),
            "dues": .array(dues.all.map { Self.json($0.due, $0.trace, $0.span) }),
            "names": .array(names.all.map { Self.json($0.due, $0.trace, $0.span) }),
            "waits": .array(waits.all.map { Self.json($0.due, $0.trace, $0.span) }),
            "fallbacks": fallbacks.json,
            // In the order in which they would be forgotten.
            "traces": .array(
                traces.inOrder.map { [.integer($0.touched.nanoseconds), .string($0.key.text), $0.trace.json] }
            ),
        ]
        if reports.count > 0 {
            object["reports"] = .array(reports.all.map { Self.json($0.due, $0.trace, $0.span) })
        }
        return .object(object)
    }

    private static func json(_ due: Moment, _ trace: TraceKey, _ span: SpanID) -> JSONValue {
        [.integer(due.nanoseconds), .string(trace.text), .string(hex(span))]
    }

    private static func due(_ json: JSONValue) -> (due: Moment, trace: TraceKey, span: SpanID)? {
        guard let time = json[0]?.moment, let trace = json[1]?.string.flatMap({ TraceKey($0) }),
            let span = json[2]?.spanID
        else { return nil }
        return (time, trace, span)
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
        for value in dues {
            guard let due = Self.due(value) else { return nil }
            self.dues.append(due)
        }
        for value in json["names"]?.array ?? [] {
            guard let due = Self.due(value) else { return nil }
            names.append(due)
        }
        for value in json["waits"]?.array ?? [] {
            guard let due = Self.due(value) else { return nil }
            waits.append(due)
        }
        for value in json["reports"]?.array ?? [] {
            guard let due = Self.due(value) else { return nil }
            reports.append(due)
        }
        fallbacks = FallbackPrices(json: json["fallbacks"])
        for value in traces {
            guard let touched = value[0]?.moment, let key = value[1]?.string.flatMap({ TraceKey($0) }),
                let trace = value[2].flatMap({ OpenTrace(json: $0) })
            else { return nil }
            self.traces.put(key, trace, at: touched)
        }
    }
}

private func hex(_ word: UInt64) -> String { String(word, radix: 16) }

extension TraceKey {
    /// The trace's 17 to 32 digits, and behind a colon those of the folder, if there is one; behind another one `g` for what
    /// a gateway reports.
    fileprivate var text: String {
        let low = String(id.low, radix: 16)
        let trace = String(id.high, radix: 16) + String(repeating: "0", count: 16 - low.count) + low
        if isGateway { return "\(trace):\(hex(folder)):g" }
        return folder == 0 ? trace : "\(trace):\(hex(folder))"
    }

    fileprivate init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard let trace = parts.first, parts.count <= 3, trace.utf8.count > 16, trace.utf8.count <= 32,
            let high = UInt64(trace.dropLast(16), radix: 16), let low = UInt64(trace.suffix(16), radix: 16)
        else { return nil }
        self.init(id: TraceID(high: high, low: low))
        guard parts.count > 1 else { return }
        guard let folder = UInt64(parts[1], radix: 16), parts.count == 2 || parts[2] == "g" else { return nil }
        (self.folder, isGateway) = (folder, parts.count == 3)
    }
}

extension JSONValue {
    fileprivate var spanID: SpanID? { string.flatMap { UInt64($0, radix: 16) } }

    fileprivate var moment: Moment? { int.map { Moment(nanoseconds: $0) } }
}

extension OpenTrace {
    fileprivate var json: JSONValue {
        var object: JSONObject = [
            "touched": .integer(touched.nanoseconds),
            "links": .array(
                links.sorted { $0.key < $1.key }.map { span, link in
                    [
                        .string(hex(span)), .string(hex(link.parent)), .bool(link.coversUsage),
                        link.claimant.map { .string($0.description) } ?? .null, .bool(link.isBarrier),
                        .integer(link.flags),
                    ]
                }
            ),
            "groups": .array(groups.sorted { $0.key < $1.key }.map { [.string(hex($0.key)), $0.value.json] }),
        ]
        if !calls.isEmpty {
            object["calls"] = .array(calls.sorted { $0.key < $1.key }.map { [.string(hex($0.key)), $0.value.json] })
        }
        if !pendingNames.isEmpty {
            object["names"] = .array(
                pendingNames.sorted { $0.key < $1.key }.map { span, name in
                    [
                        .string(hex(span)), .integer(name.time.nanoseconds),
                        name.bundle.map { .string($0.hex) } ?? .null,
                    ]
                }
            )
        }
        if !gateways.isEmpty {
            object["gateways"] = .array(
                gateways.sorted { $0.key < $1.key }.map { [.string($0.key.description), .string($0.value.text)] }
            )
        }
        if share != 0 { object["share"] = .string(hex(share)) }
        if let forgotten { object["forgotten"] = .integer(forgotten.nanoseconds) }
        if let forgetting {
            object["forgetting"] = [.string(hex(forgetting.span)), .integer(forgetting.last.nanoseconds)]
        }
        return .object(object)
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
                // Older versions did not say it, and had no calls that it distinguishes.
                isBarrier: link[4]?.bool ?? covers,
                claimant: link[3]?.string.flatMap { AgentID($0) },
                isWork: (link[5]?.int ?? 0) & 1 != 0,
                isEntry: (link[5]?.int ?? 0) & 2 != 0,
                isNameless: (link[5]?.int ?? 0) & 4 != 0,
                isGateway: (link[5]?.int ?? 0) & 8 != 0
            )
        }
        for entry in groups {
            guard let span = entry[0]?.spanID, let group = entry[1].flatMap({ Group(json: $0) }) else { return nil }
            self.groups[span] = group
        }
        for entry in json["calls"]?.array ?? [] {
            guard let span = entry[0]?.spanID, let call = entry[1].flatMap({ CallNode(json: $0) }) else { return nil }
            calls[span] = call
        }
        for entry in json["names"]?.array ?? [] {
            guard let span = entry[0]?.spanID, let time = entry[1]?.moment else { return nil }
            pendingNames[span] = PendingName(bundle: entry[2]?.string.flatMap { Digest(hex: $0) }, time: time)
        }
        for entry in json["gateways"]?.array ?? [] {
            guard let agent = entry[0]?.string.flatMap({ AgentID($0) }),
                let key = entry[1]?.string.flatMap({ TraceKey($0) })
            else { return nil }
            gateways[agent] = key
        }
        share = json["share"]?.spanID ?? 0
        forgotten = json["forgotten"]?.moment
        if let value = json["forgetting"], let span = value[0]?.spanID, let last = value[1]?.moment {
            forgetting = Forgetting(span: span, last: last)
        }
        rebuildAwaiting()
    }
}

extension OpenTrace.Link {
    fileprivate var flags: Int64 {
        (isWork ? 1 : 0) | (isEntry ? 2 : 0) | (isNameless ? 4 : 0) | (isGateway ? 8 : 0)
    }
}

extension CallNode {
    fileprivate var json: JSONValue {
        [
            .string(tool), arguments.map { .string(hex($0)) } ?? .null, .bool(isProtocol),
            claimant.map { .string($0.description) } ?? .null, .integer(Int64(said.rawValue)),
            .integer(Int64(held.rawValue)), told.map { .string($0.description) } ?? .null,
            outer.map { .string(hex($0)) } ?? .null, .integer(Int64(height)),
        ]
    }

    fileprivate init?(json: JSONValue) {
        guard let tool = json[0]?.string, let isProtocol = json[2]?.bool, let said = json[4].flatMap(CallFacts.init),
            let held = json[5].flatMap(CallFacts.init), let height = json[8]?.int, (1...64).contains(height)
        else { return nil }
        self.init(
            ToolCall(tool: tool, arguments: json[1]?.spanID, isDenied: false),
            isProtocol: isProtocol,
            claimant: json[3]?.string.flatMap { AgentID($0) },
            hasFailed: false
        )
        (self.said, self.held, self.height) = (said, held, Int(height))
        told = json[6]?.string.flatMap { AgentID($0) }
        outer = json[7]?.spanID
    }
}

extension CallFacts {
    fileprivate init?(_ json: JSONValue) {
        guard let value = json.int.flatMap({ UInt8(exactly: $0) }) else { return nil }
        self.init(rawValue: value)
    }
}

extension Group {
    fileprivate var json: JSONValue {
        // A settled run is only asked whose it was; its calls go on counting for the kill switch.
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
        if let failed { object["failed"] = .integer(failed.nanoseconds) }
        if let began { object["began"] = .integer(began.nanoseconds) }
        if !tops.isEmpty { object["tops"] = .array(tops.map { .string(hex($0)) }) }
        if dropped > 0 { object["dropped"] = .integer(dropped) }
        if !names.isEmpty { object["names"] = .array(names.sorted().map { .string($0) }) }
        if !aliases.isEmpty { object["aliases"] = .object(JSONObject(aliases.map { ($0.key, .string($0.value)) })) }
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
        failed = json["failed"]?.moment
        began = json["began"]?.moment
        tops = (json["tops"]?.array ?? []).compactMap(\.spanID)
        dropped = json["dropped"]?.count ?? 0
        names = Set((json["names"]?.array ?? []).compactMap(\.string))
        for (name, alias) in json["aliases"]?.object ?? [:] { aliases[name] = alias.string }
    }
}

extension Tally {
    fileprivate func write(to object: inout JSONObject) {
        if made != CallCounts() { object["counts"] = made.json }
        if shared != CallCounts() { object["shared"] = shared.json }
        if nested.isKnown { object["nested"] = nested.json }
        if inside.isKnown { object["inside"] = inside.json }
        if told != 0 { object["told"] = JSONValue(told) }
    }

    fileprivate init?(json: JSONValue) {
        self.init()
        if let value = json["counts"] {
            guard let counts = CallCounts(json: value) else { return nil }
            made = counts
        }
        if let value = json["shared"] {
            guard let counts = CallCounts(json: value) else { return nil }
            shared = counts
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

extension CallCounts {
    fileprivate var json: JSONValue { [.integer(calls), .integer(failed), .integer(denied)] }

    fileprivate init?(json: JSONValue) {
        // What is denied and did not fail counts against the failed ones.
        guard let calls = json[0]?.count, let failed = json[1]?.int, let denied = json[2]?.count,
            (-(1 << 40)...1 << 40).contains(failed)
        else { return nil }
        self.init()
        (self.calls, self.failed, self.denied) = (calls, failed, denied)
    }
}

extension Group.Waiting {
    fileprivate var json: JSONValue {
        [
            .integer(time.nanoseconds), .string(call.tool), call.arguments.map { .string(hex($0)) } ?? .null,
            .bool(call.isDenied), claimant.map { .string($0.description) } ?? .null, .string(hex(span)),
            .integer(Int64(facts.rawValue)),
            shared.map { [.string($0.agent.description), .integer(Int64($0.facts.rawValue))] } ?? .null,
        ]
    }

    fileprivate init?(json: JSONValue) {
        guard let time = json[0]?.moment, let tool = json[1]?.string, let isDenied = json[3]?.bool else { return nil }
        let call = ToolCall(tool: tool, arguments: json[2]?.spanID, isDenied: isDenied)
        var shared: (agent: AgentID, facts: CallFacts)?
        if let agent = json[7]?[0]?.string.flatMap({ AgentID($0) }), let facts = json[7]?[1].flatMap(CallFacts.init) {
            shared = (agent, facts)
        }
        self.init(
            // Older versions did not say which it is.
            span: json[5]?.spanID ?? 0,
            claimant: json[4]?.string.flatMap { AgentID($0) },
            call: call,
            facts: json[6].flatMap(CallFacts.init) ?? .told,
            shared: shared,
            time: time
        )
    }
}

extension Spending {
    fileprivate var json: JSONValue {
        let plain: [JSONValue] = [
            .integer(tokens), JSONValue(cost), .bool(isKnown), .bool(isBad), .bool(isUnpriced),
        ]
        guard unpriced > 0 || fallbacks > 0 else { return .array(plain) }
        let more: [JSONValue] = [
            .integer(unpriced), open.json, openModel.map { .string($0) } ?? .null, .integer(fallbacks),
        ]
        return .array(plain + more)
    }

    fileprivate init?(json: JSONValue) {
        guard let tokens = json[0]?.int, tokens >= 0, let cost = json[1]?.double, let isKnown = json[2]?.bool,
            let isBad = json[3]?.bool, let isUnpriced = json[4]?.bool
        else { return nil }
        self.init(tokens: tokens, cost: cost, isKnown: isKnown, isBad: isBad)
        // Older versions did not say how many, nor of which tokens.
        unpriced = json[5]?.count ?? (isUnpriced ? 1 : 0)
        open = json[6].flatMap { TokenUsage(json: $0) } ?? .zero
        openModel = json[7]?.string
        fallbacks = json[8]?.count ?? 0
    }
}

extension TokenUsage {
    fileprivate var json: JSONValue {
        [.integer(input), .integer(output), .integer(cacheRead), .integer(cacheWrite)]
    }

    fileprivate init?(json: JSONValue) {
        guard let input = json[0]?.count, let output = json[1]?.count, let read = json[2]?.count,
            let written = json[3]?.count
        else { return nil }
        self.init(input: input, output: output, cacheRead: read, cacheWrite: written)
    }
}

extension Run {
    /// `bundle` is left out where it is the target, as it mostly is.
    fileprivate var json: JSONValue {
        let known: [JSONValue] = [
            agent.map { .string($0.description) } ?? .null, target.map { .string($0.hex) } ?? .null,
            bundle == target ? .null : bundle.map { .string($0.hex) } ?? .null, .string(hex(parent)),
            .bool(hasSucceeded), .integer(start.nanoseconds), .integer(end.nanoseconds), own?.json ?? .null,
            session.map { .string(hex($0)) } ?? .null,
            .integer(flags), .integer(since.nanoseconds), price?.json ?? .null,
        ]
        return .array(known + (gateway.map { [.string($0.text)] } ?? []))
    }

    private var flags: Int64 {
        (isWeak ? 1 : 0) | (isWorkflow ? 2 : 0) | (isComplete ? 4 : 0) | (isOfGateway ? 8 : 0)
            | (isAnnounced ? 16 : 0)
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
            own: json[7].flatMap { $0.isNull ? nil : Spending(json: $0) },
            session: json[8]?.spanID,
            // Older versions had no other runs than whole ones.
            isWeak: (json[9]?.int ?? 4) & 1 != 0,
            isWorkflow: (json[9]?.int ?? 4) & 2 != 0,
            isComplete: (json[9]?.int ?? 4) & 4 != 0,
            since: json[10]?.moment ?? end,
            price: json[11].flatMap { Prices.Price(json: $0) },
            gateway: json[12]?.string.flatMap { TraceKey($0) },
            isOfGateway: (json[9]?.int ?? 4) & 8 != 0,
            isAnnounced: (json[9]?.int ?? 4) & 16 != 0
        )
    }
}

extension Prices.Price {
    fileprivate var json: JSONValue {
        func optional(_ price: Double?) -> JSONValue { price.map { JSONValue($0) } ?? .null }
        return [JSONValue(input), JSONValue(output), optional(cacheRead), optional(cacheWrite)]
    }

    fileprivate init?(json: JSONValue) {
        guard let input = json[0]?.double, let output = json[1]?.double else { return nil }
        self.init(input: input, output: output, cacheRead: json[2]?.double, cacheWrite: json[3]?.double)
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
