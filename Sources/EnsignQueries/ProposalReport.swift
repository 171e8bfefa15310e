package import EnsignModel
package import EnsignPlanner

/// What became of a change that a verb offers for review.
package struct ProposalReport: Sendable {
    /// Where the commit is.
    package struct Branch: Sendable {
        package var name: String
        /// Another one than was made where the branch had this change already.
        package var commit: ObjectID
        /// Whether it is the branch itself that is desired state.
        package var isDesired: Bool

        package init(name: String, commit: ObjectID, isDesired: Bool = false) {
            self.name = name
            self.commit = commit
            self.isDesired = isDesired
        }
    }

    package var title: String
    /// What validation found in the result.
    package var findings: [Finding]
    /// Whether the result can be accepted; else there is neither a plan nor a branch.
    package var isValid: Bool
    /// Nil where there was nothing to compare with.
    package var plan: Plan?
    /// Nil where none was to be made.
    package var branch: Branch?

    package init(title: String, findings: [Finding], isValid: Bool, plan: Plan? = nil, branch: Branch? = nil) {
        self.title = title
        self.findings = findings
        self.isValid = isValid
        self.plan = plan
        self.branch = branch
    }

    /// An answer: the verb's own members, and what became of the proposal; null where there is none.
    package static func answer(_ own: JSONObject, _ report: ProposalReport?) throws -> JSONObject {
        var answer = own
        let branch = report?.branch
        answer["v"] = 1
        answer["branch"] = branch.map { .string($0.name) } ?? .null
        answer["commit"] = branch.map { .string($0.commit.description) } ?? .null
        answer["title"] = branch == nil ? .null : report.map { .string($0.title) } ?? .null
        answer["plan"] = try report?.plan.map { try PlanReport($0).json() } ?? .null
        answer["findings"] = .array(report?.findings.map(\.json) ?? [])
        return answer
    }
}
