import EnsignJSON
package import EnsignModel

/// Decides about one call of one agent. `check` and `who-can` ask here, and whatever makes a call has to.
///
/// Pure: only the bundles, the arguments and the day decide.
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
        /// The keyword of the schema that refuses, as JSON Pointer segments, and what it says.
        case arguments(pointer: [String], message: String)
    }

    /// What an agent has: the grants of one bundle, or nothing.
    package enum Standing: Sendable, Hashable {
        case halted
        case live(Bundle)
    }

    /// Decides by one bundle.
    package static func decide(_ call: Call, by standing: Standing, today: CalendarDate) throws -> Verdict {
        switch try approval(of: call, by: standing, today) {
        case .failure(let refusal): .refused(refusal)
        case .success(.none): .allowed
        case .success(let approval): .needsApproval(approval)
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
        let then = try decide(call, by: .live(run), today: today)
        // Of two refusals the present one: it says what holds.
        return then.strictness > now.strictness ? then : now
    }

    private static func approval(
        of call: Call,
        by standing: Standing,
        _ today: CalendarDate
    ) throws -> Result<Approval, Refusal> {
        guard case .live(let bundle) = standing else { return .failure(.halted) }
        guard let operation = bundle.operation(call.tool, call.operation) else { return .failure(.notGranted) }
        if let expires = operation.expires, expires < today { return .failure(.expired(expires)) }
        if let arguments = call.arguments, let input = operation.input,
            let failing = try SchemaCulprit.find(in: input, for: arguments)
        {
            return .failure(.arguments(pointer: failing.pointer, message: failing.message))
        }
        return .success(operation.approval)
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
