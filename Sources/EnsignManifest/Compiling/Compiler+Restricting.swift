package import EnsignModel

extension Compiler {
    /// The bundle with only those permissions that `allowed` has too; the rest of its behaviour stays as it is.
    ///
    /// Where both allow an operation, the stricter approval, expiry, arguments and limits count. Servers and
    /// credentials have no order, so they stay.
    package static func restrict(_ bundle: Bundle, to allowed: Bundle) -> CompiledBundle {
        var part = bundle
        part.tools = bundle.tools.compactMap { tool in
            allowed.tools.first { $0.tool == tool.tool }.flatMap { restrict(tool, to: $0, bundle.agent.team) }
        }
        part.delegates = bundle.delegates.filter(allowed.delegates.contains)
        part.autonomy = min(bundle.autonomy, allowed.autonomy)
        if allowed.mode == .enforce { part.mode = .enforce }
        part.limits = BundleLimits(
            run: RunLimits(
                steps: least(bundle.limits.run.steps, allowed.limits.run.steps),
                tokens: least(bundle.limits.run.tokens, allowed.limits.run.tokens),
                costUSD: least(bundle.limits.run.costUSD, allowed.limits.run.costUSD),
                seconds: least(bundle.limits.run.seconds, allowed.limits.run.seconds)
            ),
            costUSDPerDay: least(bundle.limits.costUSDPerDay, allowed.limits.costUSDPerDay),
            runs: least(bundle.limits.runs, allowed.limits.runs)
        )
        return seal(part, halted: false)
    }

    /// Nil when nothing of the tool is left: then its server and credentials go too.
    private static func restrict(_ tool: BundleTool, to allowed: BundleTool, _ team: String) -> BundleTool? {
        var part = tool
        part.operations = [:]
        let owners = Set([tool.owner, allowed.owner].compactMap { $0 })
        let usual = Set(([team] + (owners.count == 1 ? Array(owners) : [])).map { Approver.team($0) })
        for (name, operation) in tool.operations {
            // Under one name, two tools of a server are not the same permission, nor are two definitions of one.
            guard let limit = allowed.operations[name], limit.serverTool.hasSameUTF8(as: operation.serverTool),
                operation.pin == nil || limit.pin == nil || operation.pin == limit.pin
            else { continue }
            var both = operation
            both.approval = max(operation.approval, limit.approval)
            both.expires = least(operation.expires, limit.expires)
            if limit.input != operation.input {
                both.input = Narrowing.combine(operation.input, limit.taken)
            }
            both.rate = operation.rate.map { rate in limit.rate.map { .stricter(rate, $0) } ?? rate } ?? limit.rate
            both.after = Precondition.all(operation.after, limit.after)
            both.record = Set(operation.record + limit.record).sorted()
            both.pin = operation.pin ?? limit.pin
            both.approvers = approvers(operation, limit, usual: usual)
            part.operations[name] = both
        }
        if part.owner == nil, part.operations.values.contains(where: { $0.approvers != nil }) {
            part.owner = allowed.owner
        }
        return part.operations.isEmpty ? nil : part
    }

    /// Who may agree where both say somebody must. A list of teams and people is not a set of people: what is not in both
    /// lists by name is left out.
    ///
    /// - Parameter usual: Those who may where none are named.
    private static func approvers(
        _ operation: BundleOperation,
        _ limit: BundleOperation,
        usual: Set<Approver>
    ) -> [Approver]? {
        switch (operation.approvers, limit.approvers) {
        case (let own, let other) where own == other: return own
        case (let own, _) where limit.approval == .none: return own
        case (_, let other) where operation.approval == .none: return other
        case (let own, let other): return (own ?? usual.sorted()).filter { other?.contains($0) ?? usual.contains($0) }
        }
    }

    /// The smaller one; nil means unlimited.
    private static func least<Value: Comparable>(_ first: Value?, _ second: Value?) -> Value? {
        guard let first, let second else { return first ?? second }
        return min(first, second)
    }
}
