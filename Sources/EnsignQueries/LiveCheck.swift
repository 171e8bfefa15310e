import EnsignLedger
package import EnsignManifest
package import EnsignModel
import EnsignPlanner
package import EnsignPolicy

/// Whether an agent may make a call by what its sessions have now: what `check` answers.
package struct LiveCheck: Sendable {
    package var agent: AgentID
    /// The entry of the ledger that was asked.
    package var entry: Int64
    /// Each version that takes sessions; of a halted agent the one that would. Never empty.
    package var versions: [Version]
    /// Agents that it hands work to and that may make the call for it, sorted.
    package var through: [AgentID]

    package struct Version: Sendable, Hashable {
        package var version: AgentVersion
        /// Its share of the sessions in per cent.
        package var weight: Int64
        package var answer: PermissionCheck.Answer
    }

    /// The answer that holds for some session: of several versions the most permissive one.
    package var answer: PermissionCheck.Answer {
        versions.map(\.answer).min { $0.strictness < $1.strictness } ?? versions[0].answer
    }

    /// - Parameter fleet: The accepted commit's, which says where something is written; nil where that is not known.
    /// - Returns: nil when the agent is not live.
    package static func make(
        _ live: LiveFleet,
        _ fleet: Fleet?,
        _ agent: AgentID,
        _ call: CallPolicy.Call,
        today: CalendarDate
    ) throws -> LiveCheck? {
        let versions = try live.versions(of: agent)
        guard !versions.isEmpty else { return nil }
        let manifests = fleet.map { fleet in
            PermissionCheck(
                fleet: Fleet(snapshot: fleet.snapshot, today: today),
                environment: live.environment,
                today: today
            )
        }
        let halt = try live.agent(agent)?.state.halt
        let policy = try live.policy()
        let answers = try versions.map { version in
            let standing = version.isHalted ? CallPolicy.Standing.halted : .live(version.bundle)
            let verdict = try CallPolicy.decide(call, by: standing, today: today)
            var answer = Self.answer(verdict, call, halt)
            // The manifests' own words about this very version, with the line, where they say the same.
            if let written = try manifests?.granted(agent, version.side.version, call),
                written.verdict == answer.verdict, written.approval == answer.approval,
                !version.isHalted || halt == nil
            {
                answer = written
            }
            answer.agreement =
                answer.verdict == .needsApproval
                ? WhoAgrees(ApprovalRule(version.bundle, tool: call.tool, operation: call.operation, policy: policy))
                : nil
            // A halt holds whoever is observed.
            if !version.isHalted { answer = answer.held(version.bundle.mode) }
            return Version(version: version.side.version, weight: version.weight, answer: answer)
        }
        var through: [AgentID] = []
        for version in versions where !version.isHalted {
            for (delegate, bundles) in try Delegates.reached(from: agent, version.bundle.delegates, live.running) {
                let may = try bundles.contains { bundle in
                    if bundle.mode == .observe { return true }
                    if case .refused = try CallPolicy.decide(call, by: .live(bundle), today: today) { return false }
                    return true
                }
                if may, !through.contains(delegate) { through.append(delegate) }
            }
        }
        return LiveCheck(
            agent: agent,
            entry: live.entry.entry.sequence,
            versions: answers,
            through: through.sorted()
        )
    }

    private static func answer(_ verdict: CallPolicy.Verdict, _ call: CallPolicy.Call, _ halt: Halt?)
        -> PermissionCheck.Answer
    {
        func no(_ reason: String) -> PermissionCheck.Answer {
            PermissionCheck.Answer(verdict: .refused, approval: .none, reason: reason)
        }
        switch verdict {
        case .allowed:
            return PermissionCheck.Answer(
                verdict: .allowed,
                approval: .none,
                reason: "what is live grants \(call.name)"
            )
        case .needsApproval(let approval):
            return PermissionCheck.Answer(
                verdict: .needsApproval,
                approval: approval,
                reason: "what is live asks for it"
            )
        case .refused(.halted):
            return no(halt.map { "the agent is halted by \($0.by): \($0.reason)" } ?? "the agent is halted in git")
        case .refused(.notGranted): return no("what is live does not grant \(call.name)")
        case .refused(.expired(let date)): return no("the grant expired on \(date)")
        case .refused(.precondition(let condition)): return no("it may be called only \(condition)")
        case .refused(.exhausted(let limit)): return no(limit.sentence)
        case .refused(.looping(let loop)): return no(loop.sentence)
        case .refused(.arguments(_, let message)): return no("what is live does not allow it: \(message)")
        }
    }

    package var json: JSONValue {
        var object = answer.json.object ?? [:]
        object["v"] = 1
        object["entry"] = .integer(entry)
        object["versions"] = .array(
            versions.map { version in
                var object = version.answer.json.object ?? [:]
                object["version"] = .string(version.version.description)
                object["weight"] = .integer(version.weight)
                return .object(object)
            }
        )
        object["through"] = .array(through.map { .string($0.description) })
        return .object(object)
    }
}

extension PermissionCheck.Answer {
    fileprivate var strictness: Int {
        switch verdict {
        case .allowed: 0
        case .wouldRefuse: 1
        case .needsApproval: approval == .dual ? 3 : 2
        case .refused: 4
        }
    }
}
