extension Evidence {
    /// An object with the fields that are there.
    package var json: JSONValue { .object(asRead ?? fields) }

    private var fields: JSONObject {
        let parts: [JSONObject?] = [
            state.map { ["state": $0.json] }, reason.map { ["reason": .string($0)] },
            successor.map { ["as": .string($0.description)] }, by.map { ["by": .string($0)] },
            at.map { ["at": .string($0.description)] }, verdict.map { ["verdict": .string($0.rawValue)] },
            analysis.map { ["analysis": $0.json] },
            replaced.isEmpty ? nil : ["replaced": .array(replaced.map { .string($0.description) })],
            reverts.isEmpty ? nil : ["reverts": .array(reverts.map { .string($0.description) })], rule?.fields,
            recordedLate.map { ["recordedLate": $0.json] }, activityAfterHalt.map { ["activityAfterHalt": $0.json] },
            fleet?.fields, behaviour?.fields, repair?.fields, soak.map { ["soak": $0.json] },
            override.map { ["override": ["reason": .string($0.reason)]] }, rules.map { ["rules": .object($0.fields)] },
            file?.fields,
        ]
        var fields = JSONObject()
        for case let part? in parts { for (name, value) in part { fields[name] = value } }
        return fields
    }

    /// Reads evidence back; nil when it is not an object. A field that cannot be read counts as absent.
    package init?(json: JSONValue) {
        guard case .object(let fields) = json else { return nil }
        self.init()
        func texts(_ name: String) -> [String] { fields[name]?.array?.compactMap(\.string) ?? [] }
        state = fields["state"].flatMap { AgentState(json: $0) }
        reason = fields["reason"]?.string
        successor = fields["as"]?.string.flatMap { AgentID($0) }
        by = fields["by"]?.string
        at = fields["at"]?.string.flatMap { Timestamp($0) }
        verdict = fields["verdict"]?.string.flatMap { Verdict(rawValue: $0) }
        analysis = fields["analysis"].flatMap { JudgeReport(json: $0) }
        replaced = texts("replaced").compactMap { Digest($0) }
        reverts = texts("reverts").compactMap { ObjectID($0) }
        rule = BrokenRule(fields: fields)
        recordedLate = fields["recordedLate"].flatMap { Late(json: $0) }
        activityAfterHalt = fields["activityAfterHalt"].flatMap { Activity(json: $0) }
        fleet = FleetStop(fields: fields)
        behaviour = DriftedBehaviour(fields: fields)
        repair = RepairedFile(fields: fields)
        soak = fields["soak"].flatMap { Soak(json: $0) }
        override = fields["override"]?["reason"]?.string.map { Override(reason: $0) }
        rules = fields["rules"].flatMap { RuleChanges($0) }
        file = LiveFile(fields: fields)
        asRead = fields
    }

    package static func == (a: Evidence, b: Evidence) -> Bool { a.json == b.json }

    package func hash(into hasher: inout Hasher) { hasher.combine(json) }

    /// Whether it has something that entries of the first format do not have.
    var needsV2: Bool {
        if let asRead { return ["soak", "override", "rules", "file"].contains { asRead[$0] != nil } }
        return soak != nil || override != nil || rules != nil || file != nil
    }

    /// Whether it is about the environment's own rules, or about a file that belongs to no agent, and can be read.
    var isOfNoAgent: Bool { (rules != nil) != (file != nil) && repair == nil }

    /// Whether there is a following state that cannot be read.
    package var hasUnreadableState: Bool { state == nil && asRead?["state"] != nil }
}

extension Evidence.BrokenRule {
    fileprivate var fields: JSONObject {
        ["rule": .string(name), "observed": observed.map { JSONValue($0) } ?? .null]
    }

    fileprivate init?(fields: JSONObject) {
        guard let name = fields["rule"]?.string else { return nil }
        self.init(name: name, observed: fields["observed"]?.double)
    }
}

extension Evidence.Late {
    fileprivate var json: JSONValue { ["seconds": .integer(seconds), "because": .string(because)] }

    fileprivate init?(json: JSONValue) {
        guard let seconds = json["seconds"]?.int, let because = json["because"]?.string else { return nil }
        self.init(seconds: seconds, because: because)
    }
}

extension Evidence.Activity {
    fileprivate var json: JSONValue { ["what": .string(what), "at": .string(at.description)] }

    fileprivate init?(json: JSONValue) {
        guard let what = json["what"]?.string, let at = json["at"]?.string.flatMap({ Timestamp($0) }) else {
            return nil
        }
        self.init(what: what, at: at)
    }
}

extension Evidence.FleetStop {
    fileprivate var fields: JSONObject {
        ["scope": .string(scope), "halts": halts?.json ?? .null]
    }

    fileprivate init?(fields: JSONObject) {
        guard let scope = fields["scope"]?.string else { return nil }
        self.init(scope: scope, halts: fields["halts"].flatMap { FleetHalts(json: $0) })
    }
}

extension Evidence.DriftedBehaviour {
    fileprivate var fields: JSONObject {
        var fields = numbers?.fields ?? [:]
        fields["metric"] = .string(metric)
        fields["guard"] = .string(halts ? "halt" : "report")
        return fields
    }

    fileprivate init?(fields: JSONObject) {
        guard let metric = fields["metric"]?.string else { return nil }
        self.init(metric: metric, halts: fields["guard"]?.string == "halt", numbers: Numbers(fields: fields))
    }
}

extension Evidence.DriftedBehaviour.Numbers {
    package var json: JSONValue { .object(fields) }

    package init?(json: JSONValue) {
        guard case .object(let fields) = json else { return nil }
        self.init(fields: fields)
    }

    fileprivate var fields: JSONObject {
        func time(_ time: Timestamp?) -> JSONValue { time.map { .string($0.description) } ?? .null }
        return [
            "baseline": [
                "value": JSONValue(baseline.value), "samples": JSONValue(baseline.samples),
                "from": time(baseline.from), "until": time(baseline.until),
            ],
            "since": [
                "value": JSONValue(since.value), "samples": JSONValue(since.samples),
                "rejected": JSONValue(since.rejected),
            ],
            "unit": unit.map { .string($0) } ?? .null,
        ]
    }

    fileprivate init?(fields: JSONObject) {
        func number(_ part: String, _ name: String) -> Double? { fields[part]?[name]?.double }
        func time(_ name: String) -> Timestamp? { fields["baseline"]?[name]?.string.flatMap { Timestamp($0) } }
        guard let value = number("baseline", "value"), let recorded = number("baseline", "samples"),
            let present = number("since", "value"), let samples = number("since", "samples"),
            let rejected = number("since", "rejected")
        else { return nil }
        self.init(
            baseline: Baseline(value: value, samples: recorded, from: time("from"), until: time("until")),
            since: Recent(value: present, samples: samples, rejected: rejected),
            unit: fields["unit"]?.string
        )
    }
}

extension Evidence.Soak {
    fileprivate var json: JSONValue {
        [
            "environment": .string(environment), "entry": .string(entry.description),
            "since": .string(since.description),
        ]
    }

    fileprivate init?(json: JSONValue) {
        guard let environment = json["environment"]?.string,
            let entry = json["entry"]?.string.flatMap({ ObjectID($0) }),
            let since = json["since"]?.string.flatMap({ Timestamp($0) })
        else { return nil }
        self.init(environment: environment, entry: entry, since: since)
    }
}

extension Evidence.LiveFile {
    fileprivate var fields: JSONObject {
        ["path": .string(path), "digest": digest.map { .string($0.description) } ?? .null]
    }

    /// Nil also for a repaired file, which has the same path.
    fileprivate init?(fields: JSONObject) {
        guard let path = fields["path"]?.string, LivePath.isShared(path), let value = fields["digest"] else {
            return nil
        }
        let digest = value.string.flatMap { Digest($0) }
        guard (digest == nil) == value.isNull else { return nil }
        self.init(path: path, digest: digest)
    }
}

extension Evidence.RepairedFile {
    fileprivate var fields: JSONObject {
        ["path": .string(path), "found": .string(found), "size": size.map { .integer($0) } ?? .null]
    }

    fileprivate init?(fields: JSONObject) {
        guard let path = fields["path"]?.string, let found = fields["found"]?.string else { return nil }
        self.init(path: path, found: found, size: fields["size"]?.int)
    }
}
