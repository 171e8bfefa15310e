import EnsignGit
import EnsignJudge
package import EnsignModel
package import EnsignPlanner

/// A plan, or a comparison of two sides, for whoever must agree to it.
package struct PlanReport: Sendable {
    package var plan: Plan
    /// What was found in the manifests that it is of; nil where nobody looked, as in a comparison.
    package var findings: [Finding]?

    package init(_ plan: Plan, findings: [Finding]? = nil) {
        self.plan = plan
        self.findings = findings
    }

    /// - Throws: ``GitError`` when a prompt's two texts cannot be compared.
    package func json() throws -> JSONValue {
        guard var object = try planned().object else { return .null }
        object["findings"] = findings.map { .array($0.map(\.json)) }
        return .object(object)
    }

    private func planned() throws -> JSONValue {
        [
            "v": 1, "environment": .string(plan.environment),
            "source": [
                "name": .string(plan.source.name),
                "commit": plan.source.commit.map { .string($0.description) } ?? .null,
            ],
            "entry": plan.entry.map {
                ["seq": .integer($0.sequence), "commit": .string($0.commit.description)]
            } ?? .null,
            "counts": .object(
                JSONObject(
                    (["unchanged": plan.staying].merging(plan.counts) { first, _ in first }).map {
                        ($0.key, .integer($0.value))
                    }
                )
            ),
            "guards": .array(plan.guards.map(\.json)),
            "rules": plan.rules?.json ?? .null,
            "policy": plan.policy?.change.json ?? .null,
            "changes": .array(try plan.changes.map(json)),
            "held": .array(try plan.held.map(json)),
            "kept": .array(plan.kept.map { .string($0.description) }),
            "leaving": .array(
                plan.leaving.map { leaving in
                    [
                        "agent": .string(leaving.agent.description), "stable": leaving.stable.json,
                        "users": .array(
                            leaving.users.map {
                                [
                                    "agent": .string($0.agent.description),
                                    "version": .string($0.version.description),
                                ]
                            }
                        ),
                    ]
                }
            ),
            "historyRewritten": .bool(plan.historyRewritten),
            "declaredOnly": .array(plan.declaredOnly.map { .string($0) }),
            "observing": plan.observing?.json ?? .null,
            "warnings": .array(plan.warnings.map { .string($0) }),
            "refusal": plan.refusal.map {
                [
                    "message": .string($0.message), "removed": .integer($0.removed), "live": .integer($0.live),
                    "allowed": .integer($0.allowed),
                ]
            } ?? .null,
        ]
    }

    /// What is said instead of a plan when what is desired is not valid.
    ///
    /// - Parameter meanwhile: What goes on by the last accepted commit; nil for nothing.
    package static func invalid(_ findings: [Finding], meanwhile: Plan?) throws -> JSONValue {
        guard var object = Finding.invalid(findings).object else { return .null }
        object["meanwhile"] = try meanwhile.map { try PlanReport($0).json() } ?? .null
        return .object(object)
    }

    private func json(_ planned: PlannedChange) throws -> JSONValue {
        guard var object = planned.change.json.object else { return .null }
        object["further"] = .array(planned.further.map(\.json))
        try describe(try planned.difference, in: &object)
        if let recompiled = planned.recompiled, let authority = planned.stableDifference?.authority {
            object["stable"] = [
                "version": .string(recompiled.version.description),
                "digest": .string(recompiled.digest.description),
                "gained": .array(authority.inFull(.gained).map { .string($0) }),
                "lost": .array(authority.inFull(.lost).map { .string($0) }),
            ]
        } else {
            object["stable"] = .null
        }
        object["notes"] = .array(planned.notes.map { .string($0) })
        object["power"] = planned.power?.json ?? .null
        object["observed"] = planned.observation?.json ?? .null
        object["declaredOnly"] = .array(planned.declaredOnly.map { .string($0) })
        return .object(object)
    }

    private func json(_ held: HeldAgent) throws -> JSONValue {
        var object: JSONObject = [
            "agent": .string(held.agent.description), "reason": .string(held.reason.rawValue),
            "stable": held.stable?.json ?? .null, "wanted": held.wanted.json,
            "because": held.because.map { .string($0) } ?? .null,
            "class": held.difference.map { .string($0.kind.rawValue) } ?? .null,
        ]
        if let difference = held.difference { try describe(difference, in: &object) }
        return .object(object)
    }

    private func describe(_ difference: BundleDifference, in object: inout JSONObject) throws {
        object["differences"] = .array(
            (difference.lines + difference.authority.lines).map {
                ["field": .string($0.field), "text": .string($0.text)]
            }
        )
        object["authority"] = [
            "gained": .array(difference.authority.inFull(.gained).map { .string($0) }),
            "lost": .array(difference.authority.inFull(.lost).map { .string($0) }),
        ]
        object["instructions"] = .null
        var prompts: JSONObject = [:]
        for text in difference.texts {
            let diff = JSONValue.string(try TextDiff.unified(text.before, text.after))
            if text.field == "instructions" {
                object["instructions"] = diff
            } else {
                prompts[String(text.field.dropFirst("prompts.".count))] = diff
            }
        }
        if !prompts.isEmpty { object["prompts"] = .object(prompts) }
    }
}
