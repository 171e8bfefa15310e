package import EnsignModel

extension Compiler {
    /// The bundle with only those permissions that `allowed` has too; the rest of its behaviour stays as it is.
    ///
    /// Where both allow an operation, the stricter approval, expiry, arguments and limits count. Servers and
    /// credentials have no order, so they stay.
    package static func restrict(_ bundle: Bundle, to allowed: Bundle) -> CompiledBundle {
        var part = bundle
        part.tools = bundle.tools.compactMap { tool in
            allowed.tools.first { $0.tool == tool.tool }.flatMap { restrict(tool, to: $0) }
        }
        part.delegates = bundle.delegates.filter(allowed.delegates.contains)
        part.autonomy = min(bundle.autonomy, allowed.autonomy)
        part.limits = BundleLimits(
            run: RunLimits(
                steps: least(bundle.limits.run.steps, allowed.limits.run.steps),
                tokens: least(bundle.limits.run.tokens, allowed.limits.run.tokens),
                costUSD: least(bundle.limits.run.costUSD, allowed.limits.run.costUSD),
                seconds: least(bundle.limits.run.seconds, allowed.limits.run.seconds)
            ),
            costUSDPerDay: least(bundle.limits.costUSDPerDay, allowed.limits.costUSDPerDay)
        )
        return seal(part, halted: false)
    }

    /// Nil when nothing of the tool is left: then its server and credentials go too.
    private static func restrict(_ tool: BundleTool, to allowed: BundleTool) -> BundleTool? {
        var part = tool
        part.operations = [:]
        for (name, operation) in tool.operations {
            // Under one name, two tools of a server are not the same permission.
            guard let limit = allowed.operations[name], limit.serverTool == operation.serverTool else { continue }
            var both = operation
            both.approval = max(operation.approval, limit.approval)
            both.expires = least(operation.expires, limit.expires)
            both.input = limit.input.map { Narrowing.combine(operation.input, $0) } ?? operation.input
            part.operations[name] = both
        }
        return part.operations.isEmpty ? nil : part
    }

    /// The smaller one; nil means unlimited.
    private static func least<Value: Comparable>(_ first: Value?, _ second: Value?) -> Value? {
        guard let first, let second else { return first ?? second }
        return min(first, second)
    }
}
