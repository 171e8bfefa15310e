import EnsignJSON
import EnsignModel

/// Checks that what a grant names exists, in any version: all that can be checked without an agent's needs.
struct GrantChecker {
    let fleet: Fleet
    let path: String

    func check(_ grant: Grant) throws {
        guard try checkNames(of: grant), let every = try fleet.everyVersion(of: grant.tool.value) else { return }
        let conditions = CallConditionChecker(fleet: fleet, path: path)
        try conditions.checkApprovers(of: grant)
        if let after = grant.after { _ = try conditions.checkExists(after) }
        guard grant.arguments != nil || !grant.record.isEmpty || grant.after?.same != nil else { return }
        // Against the newest version that has the operation.
        var checked: Set<String> = []
        for declarations in every.versions.reversed() {
            for name in grant.operations.selected(from: declarations) {
                guard let declaration = declarations[name.value], checked.insert(name.value).inserted else { continue }
                let full = "\(grant.tool.value).\(name.value)"
                if let arguments = grant.arguments {
                    fleet.checkNarrowing(arguments, of: declaration, full, in: path)
                }
                conditions.checkArguments(of: grant, declaration, full)
            }
        }
    }

    /// Checks only that the tool is there, and that a version has what the grant names.
    ///
    /// - Returns: Whether the tool is there.
    @discardableResult
    func checkNames(of grant: Grant) throws -> Bool {
        guard try fleet.checkTool(grant.tool, in: path) else { return false }
        guard let every = try fleet.everyVersion(of: grant.tool.value) else { return true }
        for operation in grant.operations.names + grant.operations.excepted.compactMap(\.named)
        where !every.names.contains(operation.value) {
            reportUnknown(operation, grant.tool.value, every.names)
        }
        reportEmpty(grant, every.versions)
        return true
    }

    /// A selector that selects nothing in any version.
    private func reportEmpty(_ grant: Grant, _ versions: [[String: Operation]]) {
        let problems = versions.map { EmptySelection.problems(grant.operations, $0) }
        guard let first = problems.first else { return }
        for problem in first
        where problems.allSatisfy({ $0.contains { $0.position == problem.position && $0.message == problem.message } })
        {
            fleet.report(
                Finding(
                    code: EmptySelection.code,
                    "\(problem.message) of tool '\(grant.tool.value)', in any version",
                    path: path,
                    at: problem.position,
                    hint: problem.hint
                )
            )
        }
    }

    /// Reports exceptions that no version of a tool has.
    func checkExceptions(of selection: OperationSelection, _ tool: String, beside present: [String: Operation]) throws {
        guard let unknown = try fleet.unknownExceptions(of: selection, tool, beside: present) else { return }
        for operation in unknown.operations { reportUnknown(operation, tool, unknown.known) }
    }

    private func reportUnknown(_ operation: Located<String>, _ tool: String, _ known: Set<String>) {
        fleet.reportUnknown(operation, Fleet.inNoVersion(operation, tool), among: known, in: path)
    }
}

extension Fleet {
    /// Exceptions that no version of a tool has: a slip there would let in what is meant to be left out.
    ///
    /// - Parameter present: The operations of one version; only what is not among them is looked up in the others.
    /// - Returns: These, and the operations that there are; nil when there are none, or a version cannot be read.
    func unknownExceptions(
        of selection: OperationSelection,
        _ tool: String,
        beside present: [String: Operation]
    ) throws -> (operations: [Located<String>], known: Set<String>)? {
        let missing = selection.excepted.compactMap(\.named).filter { present[$0.value] == nil }
        guard !missing.isEmpty else { return nil }
        guard let known = try everyVersion(of: tool)?.names else { return nil }
        return (missing.filter { !known.contains($0.value) }, known)
    }

    /// Whether there is a tool of this name, in any version; if not, reports that.
    func checkTool(_ tool: Located<String>, in path: String) throws -> Bool {
        guard try toolVersions(tool.value).isEmpty else { return true }
        try report(
            .error,
            in: path,
            at: tool.position,
            Finding(
                code: "unknown-tool",
                "there is no tool '\(tool.value)'",
                path: path,
                at: tool.position,
                hint: Suggestion.hint(
                    for: tool.value,
                    among: try names(in: "tools", files: false),
                    plural: "tools"
                )
            )
        )
        return false
    }

    static func inNoVersion(_ operation: Located<String>, _ tool: String) -> String {
        "no version of tool '\(tool)' has an operation '\(operation.value)'"
    }

    /// Reports an operation that a tool does not have.
    func reportUnknown(
        _ operation: Located<String>,
        _ message: @autoclosure () -> String,
        among known: @autoclosure () -> Set<String>,
        in path: String
    ) {
        report(
            .error,
            in: path,
            at: operation.position,
            Finding(
                code: "unknown-operation",
                message(),
                path: path,
                at: operation.position,
                hint: Suggestion.hint(for: operation.value, among: known().sorted(), plural: "its operations")
            )
        )
    }

    /// Reports the parts of a grant's arguments that can never apply to an operation, and those that would not be
    /// enforced.
    func checkNarrowing(_ arguments: Located<JSONValue>, of operation: Operation, _ name: String, in path: String) {
        guard hasRoom(for: .error, in: path) else { return }
        let misfits = Narrowing.misfits(arguments.value, in: operation.input)
        for misfit in misfits {
            report(
                Finding(
                    code: "narrowing-misfit",
                    "arguments of \(name): \(misfit.message)",
                    path: path,
                    at: position(of: misfit.pointer, below: arguments.position, in: path),
                    hint: misfit.hint
                )
            )
        }
        for problem in UntypedLimits(in: arguments.value, beside: TakenInput.schema(operation.input)).problems
        // Arguments that the operation does not take have been reported.
        where !misfits.contains(where: { problem.pointer.starts(with: $0.pointer) }) {
            report(
                Finding(
                    code: SchemaProblem.Code.untypedLimit.rawValue,
                    "arguments of \(name): \(problem.message)",
                    path: path,
                    at: position(of: problem.pointer, below: arguments.position, in: path),
                    hint: "\(problem.hint), here or in the tool's schema"
                )
            )
        }
    }
}
