import EnsignModel
import EnsignPolicy

/// Who may agree to what was asked, by what is live now.
package struct PresentApprovers: Sendable {
    private let live: LiveSource
    private let admission: Admission

    package init(live: LiveSource, admission: Admission) {
        self.live = live
        self.admission = admission
    }

    /// Who may agree to a request; nil where nobody can say.
    ///
    /// - Parameter countsAsker: Whether whoever asked for the call is taken for one of them, who never is.
    func rule(of request: ApprovalRequest, countsAsker: Bool = false) -> ApprovalRule? {
        let names = request.operation.split(separator: ".", maxSplits: 1)
        guard let agent = request.agent, names.count == 2, let live = try? live.ready(),
            let digest = request.asked["bundle"]?.string.flatMap({ Digest($0) }),
            let bundle = try? live.bundle(digest, isOld: true), let policy = try? live.policy()
        else { return nil }
        return ApprovalRule(
            bundle.bundle,
            tool: String(names[0]),
            operation: String(names[1]),
            policy: policy,
            asking: admission.principals(of: agent).union(countsAsker ? [] : request.askers.flatMap(\.principals))
        )
    }
}
