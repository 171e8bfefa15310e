/// One thing that an agent may do more, or less, than before.
///
/// A value, so that programs can use it too: a policy, an approval, a page. Only ``sentence`` puts it into words.
package struct AuthorityChange: Sendable, Hashable {
    package enum Direction: Sendable, Hashable {
        case gained, lost
    }

    package var direction: Direction
    package var what: What

    package init(_ direction: Direction, _ what: What) {
        self.direction = direction
        self.what = what
    }

    /// What changed. Operations are `<tool>.<operation>`.
    package indirect enum What: Sendable, Hashable {
        /// The agent may call it at all; `limits` are those of its arguments, in words.
        case operation(String, BundleOperation, limits: [String])
        case noOperation(String)
        case approval(String, Difference<Approval>)
        /// The operation itself differs: what it does, or how much harm it can do.
        case danger(String, access: Difference<Access>, risk: Difference<Risk>)
        /// Until when, inclusive; nil for no end.
        case expiry(String, Difference<CalendarDate?>)
        /// Which arguments are allowed, keyword by keyword, in words. `past`: new limits that keep nothing out, as
        /// places in the arguments.
        case arguments(String, details: [String], past: [String])
        /// The reference under which a tool's credentials are found; nil for none.
        case credentials(tool: String, Difference<String?>)
        /// How a tool is reached, in words.
        case server(tool: String, Difference<String>)
        /// What a tool keeps, in words; nil where it is not a store.
        case store(tool: String, Difference<String?>)
        /// Which tool of its server an operation is.
        case serverTool(String, Difference<String>)
        case delegate(AgentID)
        /// What another agent, which may receive the work, may call and this one could not reach before.
        case through(AgentID, operations: [String])
        /// The same, of an agent that may call nothing itself.
        case throughOthers(AgentID)
        /// A delegate gains too: the first thing, and how many more.
        case delegateGains(AgentID, AuthorityChange, more: Int)
        /// So many more agents that it reaches gain too.
        case othersGain(Int)
        /// It reaches more agents than a plan compares, so it counts as gaining.
        case uncompared
        /// What is asked of a call of an operation, beside its arguments.
        case condition(String, CallCondition)
        case limit(Limit, Difference<Double?>)
        case identity(Difference<String>)
        case autonomy(Difference<Autonomy>)
        case mode(Difference<EnforcementMode>)
    }

    package struct Difference<Value: Sendable & Hashable>: Sendable, Hashable {
        package var was: Value
        package var now: Value

        package init(was: Value, now: Value) {
            self.was = was
            self.now = now
        }
    }

    /// A limit of an agent, named after the field that sets it.
    package enum Limit: String, Sendable, CaseIterable {
        case steps, tokens, costUSD, seconds, costUSDPerDay, runs

        fileprivate var unit: String {
            switch self {
            case .steps: "steps a run"
            case .tokens: "tokens a run"
            case .costUSD: "USD a run"
            case .seconds: "seconds a run"
            case .costUSDPerDay: "USD a day"
            case .runs: "runs at a time"
            }
        }
    }
}

// MARK: - In words

extension AuthorityChange {
    /// Where in the bundle it is: `tools.payments.refund.input`, `limits.steps`.
    package var field: String {
        switch what {
        case .operation(let name, _, _), .noOperation(let name), .approval(let name, _), .danger(let name, _, _):
            "tools.\(name)"
        case .expiry(let name, _): "tools.\(name).expires"
        case .arguments(let name, _, _): "tools.\(name).input"
        case .serverTool(let name, _): "tools.\(name).mcp.tool"
        case .condition(let name, let condition): "tools.\(name).\(condition.field)"
        case .credentials(let tool, _): "tools.\(tool).credentials"
        case .server(let tool, _): "tools.\(tool).server"
        case .store(let tool, _): "tools.\(tool).store"
        case .delegate, .through, .throughOthers, .delegateGains, .othersGain, .uncompared: "delegates"
        case .limit(let limit, _): "limits.\(limit.rawValue)"
        case .identity: "identity"
        case .autonomy: "autonomy"
        case .mode: "mode"
        }
    }

    /// Without a subject and a full stop: `may now call payments.refund (write, high risk)`.
    ///
    /// What is gained is said in full; of what is lost the first few details.
    package var sentence: String { sentence(isShort: direction == .lost) }

    /// With all details.
    package var sentenceInFull: String { sentence(isShort: false) }

    private func sentence(isShort: Bool) -> String {
        switch what {
        case .operation(let name, let operation, let limits):
            "may now call \(name) (\(operation.access.rawValue), \(operation.risk.rawValue) risk)"
                + operation.approval.condition + limits.map { ", \($0)" }.joined()
        case .noOperation(let name): "may no longer call \(name)"
        case .approval(let name, let approval): sentence(name, approval)
        case .danger(let name, let access, let risk):
            "\(name) is \(access.now.rawValue), \(risk.now.rawValue) risk (was \(access.was.rawValue), \(risk.was.rawValue) risk)"
        case .expiry(let name, let date):
            "may call \(name) \(Self.until(date.now)) (was \(Self.until(date.was)))"
        case .arguments(let name, let details, let past): sentence(name, details, past, isShort)
        case .credentials(let tool, let reference):
            "calls \(tool) with credentials \(reference.now ?? "none") (was \(reference.was ?? "none"))"
        case .server(let tool, let server): "reaches \(tool) through \(server.now) (was \(server.was))"
        case .store(let tool, let store): "\(tool) is \(store.now ?? "no store") (was \(store.was ?? "no store"))"
        case .serverTool(let name, let tool):
            "by \(name) calls the server's '\(tool.now)' (was '\(tool.was)')"
        case .delegate(let agent):
            direction == .gained ? "may now hand work to \(agent)" : "may no longer hand work to \(agent)"
        case .through(let agent, let operations):
            "through \(agent) may now have called: \(operations.joined(separator: ", "))"
        case .throughOthers(let agent): "through others may now hand work to \(agent)"
        case .delegateGains(let agent, let first, let more):
            "hands work to \(agent), which gains too: \(first.sentence)" + (more > 0 ? ", and \(more) more" : "")
        case .othersGain(let count):
            "\(counted(count, "more agent")) that it reaches \(count == 1 ? "gains" : "gain") too"
        case .uncompared: "reaches more agents than are compared, which counts as more"
        case .condition(let name, let condition): condition.sentence(name, direction)
        case .limit(let limit, let value): sentence(limit, value)
        case .identity(let identity): "acts as \(identity.now) (was \(identity.was))"
        case .autonomy(let autonomy): "autonomy is \(autonomy.now.rawValue) (was \(autonomy.was.rawValue))"
        case .mode(let mode):
            mode.now == .observe
                ? "what the gateway would refuse is let through and logged (mode: observe)"
                : "what the gateway refuses is refused (was mode: observe)"
        }
    }

    private func sentence(_ name: String, _ approval: Difference<Approval>) -> String {
        guard direction == .gained else {
            return "needs \(approval.now.phrase) to call \(name) (was: \(approval.was.phrase))"
        }
        let condition = approval.now == .none ? " without approval" : approval.now.condition
        return "may call \(name)\(condition) (was: \(approval.was.phrase))"
    }

    private func sentence(_ name: String, _ details: [String], _ past: [String], _ isShort: Bool) -> String {
        let shown = isShort ? details.prefix(6) : details[...]
        let rest = details.count > shown.count ? "; and \(details.count - shown.count) more" : ""
        let detail = details.isEmpty ? "" : ": \(shown.joined(separator: "; "))\(rest)"
        guard direction == .lost else {
            return "may call \(name) with arguments that were not allowed before\(detail)"
        }
        let more = past.count > 1 ? " and \(past.count - 1) more" : ""
        let open = past.first.map { "; values of another type get past \($0)\(more)" } ?? ""
        return "may call \(name) with fewer arguments\(detail)\(open)"
    }

    private func sentence(_ limit: Limit, _ value: Difference<Double?>) -> String {
        let now = value.now.map { "\(JSONValue($0).text) \(limit.unit)" } ?? "any number of \(limit.unit)"
        return "may use \(now) (was \(value.was.map { JSONValue($0).text } ?? "unlimited"))"
    }

    private static func until(_ date: CalendarDate?) -> String { date.map { "until \($0)" } ?? "without an end" }
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

    /// What follows a call that needs it: nothing, or ` with a manager's approval`.
    fileprivate var condition: String { self == .none ? "" : " with \(phrase)" }
}
