extension Environment {
    /// Its rules by the names and in the form of `environment.yaml`, with what holds where nothing is written: for
    /// comparing, and for the record.
    package var rules: JSONObject {
        [
            "trustDomain": .string(trustDomain), "promotesFrom": .optional(promotesFrom?.value),
            "soak": .optional(soak?.short), "mutableVersions": .bool(mutableVersions), "prune": .bool(prune),
            "maxPruneShare": JSONValue(maxPruneShare), "keepFor": .string(keepFor.short),
            "limits.costUSDPerDay": costUSDPerDay.map { JSONValue($0) } ?? .null,
            "limits.concurrentRollouts": concurrentRollouts.map { .integer($0) } ?? .null,
            "rollout": rollout?.json ?? .null,
            // Their order means nothing.
            "killSwitch": .array(killSwitch.map(\.json).sorted { $0.text < $1.text }),
        ]
    }
}

extension JSONValue {
    fileprivate static func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
}

extension TimeSpan {
    /// One form for each length: `168h` is not a change from `7d`.
    fileprivate var short: String { Self.short(milliseconds: milliseconds) }
}

extension KillRule {
    /// As a manifest writes it.
    package var json: JSONValue {
        switch self {
        case .spend(let amount, let span): .object([name: JSONValue(amount), "within": .string(span.short)])
        case .repeatedCall(let count, let span), .deniedCalls(let count, let span):
            .object([name: .integer(count), "within": .string(span.short)])
        case .steps(let count), .unknownTool(let count): .object([name: .integer(count)])
        }
    }
}

extension Rollout {
    /// As a manifest writes it.
    package var json: JSONValue {
        switch self {
        case .immediate: return ["immediate": [:]]
        case .canary(let canary):
            var object: JSONObject = [
                "steps": .array(
                    canary.steps.map { ["weight": .integer($0.weight), "hold": .string($0.hold.short)] }
                )
            ]
            object["analysis"] = canary.analysis?.json
            return ["canary": .object(object)]
        }
    }
}

extension Analysis {
    fileprivate var json: JSONValue {
        var object: JSONObject = [
            "metrics": .array(metrics.map(\.json)), "confidence": JSONValue(confidence),
            "onInconclusive": .string(onInconclusive.rawValue),
        ]
        object["deadline"] = deadline.map { .string($0.short) }
        return .object(object)
    }
}

extension Analysis.Metric {
    fileprivate var json: JSONValue {
        var object: JSONObject = ["name": .string(name), "kind": .string(kind.rawValue)]
        object["good"] = good.map { .bool($0) }
        object["unit"] = unit.map { .string($0) }
        switch margin {
        case .absolute(let value): object["margin"] = JSONValue(value)
        case .relative(let share): object["margin"] = .string("\(JSONValue(share * 100).text)%")
        }
        switch guarding {
        case .off: break
        case .report: object["guard"] = "report"
        case .halt: object["guard"] = "halt"
        }
        object["query"] = query.map { .string($0.text) }
        object["step"] = query.map { .string($0.step.short) }
        return .object(object)
    }
}
