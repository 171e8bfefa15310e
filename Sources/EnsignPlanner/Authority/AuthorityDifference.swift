package import EnsignModel

/// What an agent may do more, and what less, than before.
///
/// What cannot be shown to be narrower counts as gained.
package struct AuthorityDifference: Sendable, Hashable {
    /// Sentences without a subject: "may now call payments.refund".
    package private(set) var gained: [String] = []
    package private(set) var lost: [String] = []

    /// Compares what two bundles allow; nil stands for an agent that is not there.
    package init(before: Bundle?, after: Bundle?) {
        compareTools(before, after)
        compareDelegates(before, after)
        guard let before, let after else { return }
        compareLimits(before.limits, after.limits)
        if before.identity != after.identity {
            gained.append("acts as \(after.identity) (was \(before.identity))")
        }
        if before.autonomy != after.autonomy {
            let sentence = "autonomy is \(after.autonomy.rawValue) (was \(before.autonomy.rawValue))"
            if after.autonomy > before.autonomy { gained.append(sentence) } else { lost.append(sentence) }
        }
    }

    // MARK: Tools

    private mutating func compareTools(_ before: Bundle?, _ after: Bundle?) {
        let (old, new) = (before?.toolsByName ?? [:], after?.toolsByName ?? [:])
        for name in Set(old.keys).union(new.keys).sorted() {
            let (was, now) = (old[name], new[name])
            if let was, let now { compareReach(name, was, now) }
            let operations = Set(was?.operations.keys.map { $0 } ?? []).union(now?.operations.keys.map { $0 } ?? [])
            for operation in operations.sorted() {
                compareOperation("\(name).\(operation)", was?.operations[operation], now?.operations[operation])
            }
        }
    }

    private mutating func compareReach(_ name: String, _ was: BundleTool, _ now: BundleTool) {
        if was.credentials != now.credentials {
            gained.append(
                "calls \(name) with credentials \(now.credentials ?? "none") (was \(was.credentials ?? "none"))"
            )
        }
        if was.server != now.server { gained.append("reaches \(name) through another server") }
    }

    private mutating func compareOperation(_ name: String, _ was: BundleOperation?, _ now: BundleOperation?) {
        switch (was, now) {
        case (nil, nil): return
        case (nil, let now?):
            gained.append("may now call \(name) (\(now.access.rawValue), \(now.risk.rawValue) risk)\(now.condition)")
        case (_?, nil): lost.append("may no longer call \(name)")
        case (let was?, let now?):
            if now.approval < was.approval {
                gained.append(
                    "may call \(name)\(now.condition.isEmpty ? " without approval" : now.condition) (was: \(was.approval.phrase))"
                )
            } else if now.approval > was.approval {
                lost.append("needs \(now.approval.phrase) to call \(name) (was: \(was.approval.phrase))")
            }
            if now.access > was.access || now.risk > was.risk {
                gained.append(
                    "\(name) is \(now.access.rawValue), \(now.risk.rawValue) risk (was \(was.access.rawValue), \(was.risk.rawValue) risk)"
                )
            }
            compareExpiry(name, was.expires, now.expires)
            compareArguments(name, was.input, now.input)
        }
    }

    private mutating func compareExpiry(_ name: String, _ was: CalendarDate?, _ now: CalendarDate?) {
        guard was != now else { return }
        let sentence =
            "may call \(name) \(now.map { "until \($0)" } ?? "without an end") (was \(was.map { "until \($0)" } ?? "without an end"))"
        switch (was, now) {
        case (_, nil): gained.append(sentence)
        case (nil, _?): lost.append(sentence)
        case (let was?, let now?): if now > was { gained.append(sentence) } else { lost.append(sentence) }
        }
    }

    private mutating func compareArguments(_ name: String, _ was: JSONValue?, _ now: JSONValue?) {
        guard was != now else { return }
        let details = SchemaDetails.differences(was, now)
        let detail = details.isEmpty ? "" : ": \(details.joined(separator: "; "))"
        if SchemaOrder.isProvablyNarrower(now, than: was) {
            if !SchemaOrder.isProvablyNarrower(was, than: now) {
                lost.append("may call \(name) with fewer arguments\(detail)")
            }
        } else {
            gained.append("may call \(name) with arguments that were not allowed before\(detail)")
        }
    }

    // MARK: Delegates and limits

    private mutating func compareDelegates(_ before: Bundle?, _ after: Bundle?) {
        let (old, new) = (Set(before?.delegates ?? []), Set(after?.delegates ?? []))
        for agent in new.subtracting(old).sorted() { gained.append("may now hand work to \(agent)") }
        for agent in old.subtracting(new).sorted() { lost.append("may no longer hand work to \(agent)") }
    }

    private mutating func compareLimits(_ was: BundleLimits, _ now: BundleLimits) {
        compareLimit("steps a run", was.run.steps.map(Double.init), now.run.steps.map(Double.init))
        compareLimit("tokens a run", was.run.tokens.map(Double.init), now.run.tokens.map(Double.init))
        compareLimit("USD a run", was.run.costUSD, now.run.costUSD)
        compareLimit("seconds a run", was.run.seconds.map(Double.init), now.run.seconds.map(Double.init))
        compareLimit("USD a day", was.costUSDPerDay, now.costUSDPerDay)
    }

    private mutating func compareLimit(_ unit: String, _ was: Double?, _ now: Double?) {
        guard was != now else { return }
        func shown(_ value: Double?) -> String {
            value.map { "\(JSONValue($0).text) \(unit)" } ?? "any number of \(unit)"
        }
        let sentence = "may use \(shown(now)) (was \(was.map { JSONValue($0).text } ?? "unlimited"))"
        if let now, now < was ?? .infinity { lost.append(sentence) } else { gained.append(sentence) }
    }
}

extension BundleOperation {
    /// "", ", with a manager's approval" and so on.
    fileprivate var condition: String {
        switch approval {
        case .none: ""
        case .manager, .dual: " with \(approval.phrase)"
        }
    }
}

extension Bundle {
    /// A bundle that was read back may name a tool twice: a compiled one never does.
    var toolsByName: [String: BundleTool] { Dictionary(tools.map { ($0.tool, $0) }) { first, _ in first } }
}

extension Approval {
    /// The approval in words.
    package var phrase: String {
        switch self {
        case .none: "no approval"
        case .manager: "a manager's approval"
        case .dual: "the approval of two people"
        }
    }
}

extension JSONValue {
    /// Canonical JSON as text.
    package var text: String { String(decoding: canonicalBytes(), as: UTF8.self) }
}
