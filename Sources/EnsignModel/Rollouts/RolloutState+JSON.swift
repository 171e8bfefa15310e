extension RolloutState {
    package var json: JSONValue {
        switch self {
        case .queued(let candidate): ["phase": "queued", "candidate": candidate.json]
        case .canary(let candidate, let progress):
            ["phase": "canary", "candidate": candidate.json, "progress": progress.json]
        case .soaking(let candidate, let soak):
            ["phase": "soaking", "candidate": candidate.json, "soak": soak.json]
        }
    }

    package init?(json: JSONValue) {
        guard let candidate = json["candidate"].flatMap({ Candidate(json: $0) }) else { return nil }
        switch json["phase"]?.string {
        case "queued": self = .queued(candidate)
        case "canary":
            guard let progress = json["progress"].flatMap({ CanaryProgress(json: $0) }) else { return nil }
            self = .canary(candidate, progress)
        case "soaking":
            guard let soak = json["soak"].flatMap({ Soak(json: $0) }) else { return nil }
            self = .soaking(candidate, soak)
        default: return nil
        }
    }
}

extension Soak {
    package var json: JSONValue {
        var object: JSONObject = ["until": until.map { .string($0.description) } ?? .null, "why": .string(why)]
        object["rule"] = rule?.json
        return .object(object)
    }

    package init?(json: JSONValue) {
        guard let untilValue = json["until"], let why = json["why"]?.string else { return nil }
        let until = untilValue.string.flatMap { Timestamp($0) }
        let rule = json["rule"].flatMap { PromotionRule(json: $0) }
        guard (until == nil) == untilValue.isNull, (rule == nil) == (json["rule"] == nil) else { return nil }
        self.init(until: until, why: why, rule: rule)
    }
}

extension SoakOverride {
    package var json: JSONValue {
        var object: JSONObject = [
            "version": .string(version.description), "since": .string(since.description), "by": .string(by),
            "reason": .string(reason),
        ]
        if let artifact { object["artifact"] = .string(artifact.description) }
        return .object(object)
    }

    package init?(json: JSONValue) {
        guard let version = json["version"]?.string.flatMap({ AgentVersion($0) }),
            let since = json["since"]?.string.flatMap({ Timestamp($0) }), let by = json["by"]?.string,
            let reason = json["reason"]?.string
        else { return nil }
        let artifact = json["artifact"]?.string.flatMap { Digest($0) }
        guard (artifact == nil) == (json["artifact"] == nil) else { return nil }
        self.init(version: version, since: since, by: by, reason: reason)
        self.artifact = artifact
    }
}

extension Candidate {
    package var json: JSONValue {
        [
            "version": .string(side.version.description), "digest": .string(side.digest.description),
            "artifact": .string(artifact.description), "class": .string(kind.rawValue),
            "source": .string(source.description), "wanted": .string(wanted.description),
        ]
    }

    package init?(json: JSONValue) {
        guard let side = Change.Side(json: json), let artifact = json["artifact"]?.string.flatMap({ Digest($0) }),
            let kind = json["class"]?.string.flatMap({ Change.Class(rawValue: $0) }),
            let source = json["source"]?.string.flatMap({ ObjectID($0) }),
            let wanted = json["wanted"]?.string.flatMap({ Timestamp($0) })
        else { return nil }
        self.init(side: side, artifact: artifact, kind: kind, source: source, wanted: wanted)
    }
}

extension CanaryProgress {
    package var json: JSONValue {
        [
            "step": .integer(step), "weight": .integer(weight), "stepSince": .string(stepSince.description),
            "started": .string(started.description), "evidenceSince": .string(evidenceSince.description),
            "pause": pause?.json ?? .null,
        ]
    }

    package init?(json: JSONValue) {
        guard let step = json["step"]?.count, let weight = json["weight"]?.int, (0...100).contains(weight),
            let stepSince = json["stepSince"]?.string.flatMap({ Timestamp($0) }),
            let started = json["started"]?.string.flatMap({ Timestamp($0) }),
            let evidenceSince = json["evidenceSince"]?.string.flatMap({ Timestamp($0) }),
            let pauseValue = json["pause"]
        else { return nil }
        let pause = Pause(json: pauseValue)
        guard (pause == nil) == pauseValue.isNull else { return nil }
        self.init(
            step: step,
            weight: weight,
            stepSince: stepSince,
            started: started,
            evidenceSince: evidenceSince,
            pause: pause
        )
    }
}

extension CanaryProgress.Pause {
    package var json: JSONValue { ["since": .string(since.description), "reason": .string(reason)] }

    package init?(json: JSONValue) {
        guard let since = json["since"]?.string.flatMap({ Timestamp($0) }), let reason = json["reason"]?.string
        else { return nil }
        self.init(since: since, reason: reason)
    }
}

extension Quarantine {
    package var json: JSONValue {
        let (key, digest): (String, Digest) =
            switch mark {
            case .artifact(let digest): ("artifact", digest)
            case .digest(let digest): ("digest", digest)
            }
        return [
            key: .string(digest.description), "version": .string(version.description),
            "since": .string(since.description), "reason": .string(reason),
        ]
    }

    package init?(json: JSONValue) {
        let mark: Mark? =
            json["artifact"]?.string.flatMap { Digest($0) }.map { .artifact($0) }
            ?? json["digest"]?.string.flatMap { Digest($0) }.map { .digest($0) }
        guard let mark, let version = json["version"]?.string.flatMap({ AgentVersion($0) }),
            let since = json["since"]?.string.flatMap({ Timestamp($0) }), let reason = json["reason"]?.string
        else { return nil }
        self.init(mark: mark, version: version, since: since, reason: reason)
    }
}

extension Halt {
    package var json: JSONValue {
        var object: JSONObject = [
            "since": .string(since.description), "reason": .string(reason), "by": .string(by),
        ]
        if let artifact { object["artifact"] = .string(artifact.description) }
        if !stopped.isEmpty { object["stopped"] = .array(stopped.map { .string($0.description) }) }
        return .object(object)
    }

    package init?(json: JSONValue) {
        guard let since = json["since"]?.string.flatMap({ Timestamp($0) }), let reason = json["reason"]?.string,
            let by = json["by"]?.string
        else { return nil }
        var artifact: Digest?
        if let value = json["artifact"] {
            guard let digest = value.string.flatMap({ Digest($0) }) else { return nil }
            artifact = digest
        }
        let stopped = json["stopped"].map { $0.array?.map { $0.string.flatMap { Digest($0) } } ?? [nil] } ?? []
        guard stopped.count <= Self.maxStopped, stopped.allSatisfy({ $0 != nil }) else { return nil }
        self.init(since: since, reason: reason, by: by, artifact: artifact, stopped: stopped.compactMap { $0 })
    }
}
