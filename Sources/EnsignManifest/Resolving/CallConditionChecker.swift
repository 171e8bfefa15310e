import EnsignModel

/// Checks what a grant asks of calls, beside their arguments: who may agree, what must have come before, what is recorded.
struct CallConditionChecker {
    let fleet: Fleet
    /// Of the manifest with the grant.
    let path: String

    /// Whether the teams that may agree exist.
    func checkApprovers(of grant: Grant) throws {
        for approver in grant.approvers {
            guard case .team(let team) = approver.value else { continue }
            try FleetChecker(fleet: fleet).checkTeam(team, at: approver.position, in: path)
        }
    }

    /// Whether an operation has the arguments that the grant names.
    ///
    /// - Parameter name: `<tool>.<operation>`
    func checkArguments(of grant: Grant, _ operation: Operation, _ name: String) {
        for place in grant.record {
            // What an array holds has no names.
            let names = place.value.segments.prefix { JSONPointer.index($0) == nil }
            guard let problem = Self.problem(Array(names), operation) else { continue }
            report(
                "record-misfit",
                "'\(place.value.description.onOneLine)' of \(name): \(problem.message)",
                place,
                problem
            )
        }
        if let after = grant.after, let same = after.value.same, let position = after.same,
            let problem = Self.problem([same], operation)
        {
            report("precondition-misfit", "\(name): \(problem.message)", Located(same, at: position), problem)
        }
    }

    private func report<Value>(
        _ code: String,
        _ message: String,
        _ place: Located<Value>,
        _ problem: (message: String, hint: String?)
    ) {
        fleet.report(Finding(code: code, message, path: path, at: place.position, hint: problem.hint))
    }

    /// Why an operation has no argument at a place; nil when it has, or may have.
    private static func problem(_ place: [String], _ operation: Operation) -> (message: String, hint: String?)? {
        guard !place.isEmpty else { return nil }
        guard let input = operation.input else {
            return (
                "without 'input' the operation takes no arguments",
                "declare the arguments in a new version of the tool"
            )
        }
        let narrowing = place.reversed().reduce(JSONValue.bool(true)) { inner, name in
            ["properties": .object(JSONObject([(name, inner)]))]
        }
        return Narrowing.misfits(narrowing, in: input).first.map { ($0.message, $0.hint) }
    }

    /// Whether a precondition's operation exists in any version of its tool, as far as can be told; if not, reports that.
    func checkExists(_ after: GrantedPrecondition) throws -> Bool {
        let (tool, name) = (after.value.tool, after.value.operation)
        guard try fleet.checkTool(Located(tool, at: after.operation), in: path) else { return false }
        guard let known = try fleet.everyVersion(of: tool)?.names, !known.contains(name) else { return true }
        let located = Located(name, at: after.operation)
        fleet.reportUnknown(located, Fleet.inNoVersion(located, tool), among: known, in: path)
        return false
    }
}

extension CallConditionChecker {
    /// Checks the preconditions of one deployment together: what must come before has to be granted too, and may come.
    ///
    /// - Parameter granted: By `<tool>.<operation>`.
    static func checkPreconditions(_ granted: [String: Permission], _ fleet: Fleet) throws {
        let circles = circles(granted)
        for (name, permission) in granted.sorted(by: { $0.key < $1.key }) {
            guard let after = permission.after else { continue }
            let path = permission.origin.path
            let other = after.value.name
            if let first = granted[other] {
                check(name, permission, comesAfter: first, fleet)
                if let circle = circles[name] {
                    fleet.report(
                        Finding(
                            code: "precondition-cycle",
                            "'\(name)' can never be called: \((circle + [name]).joined(separator: " comes after "))",
                            path: path,
                            at: after.operation,
                            hint: "remove 'after' from one of the grants"
                        )
                    )
                }
            } else {
                let checker = CallConditionChecker(fleet: fleet, path: path)
                guard try checker.checkExists(after) else { continue }
                fleet.report(
                    Finding(
                        code: "ungranted-precondition",
                        "'\(name)' must come after '\(other)', which the agent is not granted: it could never be called",
                        path: path,
                        at: after.operation,
                        hint: "grant \(other) too, or name an operation that is granted"
                    )
                )
            }
        }
    }

    /// Whether the earlier operation takes the argument that must be the same, and can be called at all.
    private static func check(
        _ name: String,
        _ permission: Permission,
        comesAfter first: Permission,
        _ fleet: Fleet
    ) {
        guard let after = permission.after else { return }
        let other = after.value.name
        if let same = after.value.same, let position = after.same, let problem = problem([same], first.declaration) {
            fleet.report(
                Finding(
                    code: "precondition-misfit",
                    "\(other), which must come before \(name): \(problem.message)",
                    path: permission.origin.path,
                    at: position,
                    hint: problem.hint
                )
            )
        }
        guard first.effectiveApproval == nil, permission.effectiveApproval != nil else { return }
        fleet.report(
            Finding(
                .warning,
                code: "ungranted-precondition",
                "'\(name)' must come after '\(other)', which 'autonomy' leaves out: it cannot be called",
                path: permission.origin.path,
                at: after.operation,
                hint: "raise 'autonomy' when the agent may call both"
            )
        )
    }

    /// The circles of operations that come after one another, by the first operation of each.
    ///
    /// Each has one precondition, so following them is all, and each is followed once.
    private static func circles(_ granted: [String: Permission]) -> [String: [String]] {
        let before = granted.compactMapValues { $0.after?.value.name }
        var circles: [String: [String]] = [:]
        var seen: Set<String> = []
        for name in before.keys.sorted() where !seen.contains(name) {
            var way: [String] = []
            var next: String? = name
            while let step = next, seen.insert(step).inserted {
                way.append(step)
                next = before[step]
            }
            guard let next, let start = way.firstIndex(of: next) else { continue }
            let circle = way[start...]
            guard let first = circle.indices.min(by: { circle[$0] < circle[$1] }) else { continue }
            circles[circle[first]] = Array(circle[first...] + circle[..<first])
        }
        return circles
    }
}
