import EnsignJSON
package import EnsignModel

/// Decides about one call of one agent: the one answer for `check`, `who-can`, the gateway, and whoever decides recorded
/// calls again.
///
/// Pure: only the bundles, the arguments, the day, and what the caller has counted decide.
package enum CallPolicy {
    /// What an agent wants to call.
    package struct Call: Sendable, Hashable {
        package var tool: String
        package var operation: String
        /// Nil asks whether it may be called at all.
        package var arguments: JSONValue?

        package init(tool: String, operation: String, arguments: JSONValue?) {
            self.tool = tool
            self.operation = operation
            self.arguments = arguments
        }

        package var name: String { "\(tool).\(operation)" }
    }

    /// The answer.
    package enum Verdict: Sendable, Hashable {
        case allowed
        /// Once somebody has agreed: never ``Approval/none``.
        case needsApproval(Approval)
        case refused(Refusal)
    }

    /// Why not, in the order of the checks.
    package enum Refusal: Error, Sendable, Hashable {
        case halted
        /// Not granted and unknown are the same: whoever may not call it learns nothing about it.
        case notGranted
        /// Inclusive: calls were allowed until the end of that day, in UTC.
        case expired(CalendarDate)
        /// No call of this run fulfils it.
        case precondition(Precondition)
        case exhausted(Exhausted)
        case looping(Looping)
        /// The keyword of the schema that refuses, as JSON Pointer segments, and what it says.
        case arguments(pointer: [String], message: String)
    }

    /// What an agent has: the grants of one bundle, or nothing.
    package enum Standing: Sendable, Hashable {
        case halted
        case live(Bundle)
    }

    /// What decides beside the bundle.
    package struct Circumstances: Sendable {
        /// In UTC.
        package var today: CalendarDate
        /// Nil where nobody counts: then only what the bundle says of a call by itself decides.
        package var progress: RunProgress?
        package var limits: AgentLimits

        package init(today: CalendarDate, progress: RunProgress? = nil, limits: AgentLimits = AgentLimits()) {
            self.today = today
            self.progress = progress
            self.limits = limits
        }
    }

    /// Decides by one bundle.
    package static func decide(_ call: Call, by standing: Standing, today: CalendarDate) throws -> Verdict {
        guard case .live(let bundle) = standing else { return .refused(.halted) }
        return try verdict(call, bundle, Circumstances(today: today)) { input, arguments in
            try SchemaCulprit.find(in: input, for: arguments)
        }
    }

    /// Decides by one bundle.
    package static func decide(
        _ call: Call,
        by prepared: PreparedBundle,
        _ circumstances: Circumstances
    ) throws -> Verdict {
        try verdict(call, prepared.bundle, circumstances) { input, arguments in
            try prepared.culprit(call, input, arguments)
        }
    }

    /// Decides for a run that began earlier: the bundle that it began with and the one that its route gives it now must
    /// both allow the call, and the stricter approval counts. So a narrowing, a rollback and a halt apply to open runs
    /// at once, and a widening only to new ones.
    package static func decide(
        _ call: Call,
        run: Bundle,
        present: Standing,
        today: CalendarDate
    ) throws -> Verdict {
        let now = try decide(call, by: present, today: today)
        guard present != .live(run) else { return now }
        return stricter(now, then: try decide(call, by: .live(run), today: today))
    }

    /// The same with what is ready, and with all that was counted.
    package static func decide(
        _ call: Call,
        run: PreparedBundle,
        present: PreparedBundle,
        _ circumstances: Circumstances
    ) throws -> Verdict {
        let now = try decide(call, by: present, circumstances)
        guard present.digest != run.digest else { return now }
        return stricter(now, then: try decide(call, by: run, circumstances))
    }

    /// Of two refusals the present one: it says what holds.
    private static func stricter(_ now: Verdict, then: Verdict) -> Verdict {
        then.strictness > now.strictness ? then : now
    }

    private static func verdict(
        _ call: Call,
        _ bundle: Bundle,
        _ circumstances: Circumstances,
        _ culprit: (_ input: JSONValue, _ arguments: JSONValue) throws -> SchemaCulprit.Failing?
    ) throws -> Verdict {
        guard let operation = bundle.operation(call.tool, call.operation) else { return .refused(.notGranted) }
        if let expires = operation.expires, expires < circumstances.today { return .refused(.expired(expires)) }
        if let progress = circumstances.progress {
            if let missing = operation.after.first(where: { !progress.fulfilled.contains($0) }) {
                return .refused(.precondition(missing))
            }
            if let limit = progress.exhausted(bundle.limits, operation, circumstances.limits) {
                return .refused(.exhausted(limit))
            }
            if let loop = progress.looping(circumstances.limits) { return .refused(.looping(loop)) }
        }
        if let arguments = call.arguments, let failing = try failing(arguments, operation, culprit) {
            return .refused(.arguments(pointer: failing.pointer, message: failing.message))
        }
        return operation.approval == .none ? .allowed : .needsApproval(operation.approval)
    }

    private static func failing(
        _ arguments: JSONValue,
        _ operation: BundleOperation,
        _ culprit: (_ input: JSONValue, _ arguments: JSONValue) throws -> SchemaCulprit.Failing?
    ) throws -> SchemaCulprit.Failing? {
        if let input = operation.input { return try culprit(input, arguments) }
        // Nobody has said what it takes, so nobody has reviewed it.
        guard arguments.object?.isEmpty ?? false else {
            return SchemaCulprit.Failing(pointer: [], message: "it takes no arguments")
        }
        return nil
    }
}

extension CallPolicy.Verdict {
    fileprivate var strictness: Int {
        switch self {
        case .allowed: 0
        case .needsApproval(.none), .needsApproval(.manager): 1
        case .needsApproval(.dual): 2
        case .refused: 3
        }
    }
}
