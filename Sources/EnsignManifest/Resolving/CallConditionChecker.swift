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

    /// Whether a precondition's operation exists in any version of its tool.
    func checkExists(_ after: GrantedPrecondition) throws {
        let (tool, name) = (after.value.tool, after.value.operation)
        let versions = try fleet.toolVersions(tool)
        guard !versions.isEmpty else {
            let tools = try fleet.names(in: "tools", files: false)
            fleet.report(
                Finding(
                    code: "unknown-tool",
                    "there is no tool '\(tool)'",
                    path: path,
                    at: after.operation,
                    hint: Suggestion.hint(for: tool, among: tools, plural: "tools")
                )
            )
            return
        }
        let tools = try versions.map { try fleet.tool(tool, $0)?.value }
        guard tools.allSatisfy({ $0 != nil }) else { return }
        let known = Set(tools.flatMap { $0.map { Array($0.operations.keys) } ?? [] })
        guard !known.contains(name) else { return }
        let located = Located(name, at: after.operation)
        fleet.reportUnknown(located, Fleet.inNoVersion(located, tool), among: known, in: path)
    }
}

extension CallConditionChecker {
    /// Checks the preconditions of one deployment together: what must come before has to be granted too, and may come.
    ///
    /// - Parameter granted: By `<tool>.<operation>`.
    static func checkPreconditions(_ granted: [String: Permission], _ fleet: Fleet) throws {
        for (name, permission) in granted.sorted(by: { $0.key < $1.key }) {
            guard let after = permission.after else { continue }
            let path = permission.origin.path
            let other = after.value.name
            if let first = granted[other] {
                check(name, permission, comesAfter: first, fleet)
                if let circle = circle(from: name, granted) {
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
                let before = fleet.findings.count
                try checker.checkExists(after)
                guard fleet.findings.count == before else { continue }
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

    /// The operations from one back to itself, each coming after the next; nil when it does not come back.
    ///
    /// Each has one precondition, so following them is all. Of a circle the first operation by name reports it.
    private static func circle(from name: String, _ granted: [String: Permission]) -> [String]? {
        var seen = [name]
        while let next = granted[seen[seen.count - 1]]?.after?.value.name {
            if next == name { return seen.min() == name ? seen : nil }
            guard !seen.contains(next), seen.count < 100 else { return nil }
            seen.append(next)
        }
        return nil
    }
}
