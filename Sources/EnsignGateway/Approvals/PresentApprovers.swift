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

    /// The bundle that the request's run gets now; nil where that is not known.
    private func present(_ request: ApprovalRequest, _ runs: RunBook) -> Bundle? {
        guard let agent = request.agent, let run = request.asked["run"]?.string,
            let key = (try? runs.beginning(of: run, agent, isRemembered: true))?.key
        else { return nil }
        return try? live.ready().present(agent, key: key).bundle?.bundle
    }

    private func bundle(of request: ApprovalRequest) -> Bundle? {
        request.asked["bundle"]?.string.flatMap { Digest($0) }.flatMap {
            try? live.ready().bundle($0, isOld: true).bundle
        }
    }

    /// The places of a request's arguments whose values its bundle keeps in clear, or the one that its run gets now.
    func record(of request: ApprovalRequest, _ runs: RunBook) -> [JSONPointer] {
        guard let (tool, operation) = request.names else { return [] }
        let bundles = [bundle(of: request), present(request, runs)]
        return Set(bundles.flatMap { $0?.operation(tool, operation)?.record ?? [] }).sorted()
    }

    /// Who may agree to a request; nil where nobody can say.
    ///
    /// - Parameter countsAsker: Whether whoever asked for the call is taken for one of them, who never is.
    func rule(of request: ApprovalRequest, countsAsker: Bool = false) -> ApprovalRule? {
        guard let agent = request.agent, let (tool, operation) = request.names, let bundle = bundle(of: request),
            let policy = try? live.ready().policy()
        else { return nil }
        let askers = countsAsker ? [] : request.askers
        return ApprovalRule(
            bundle,
            tool: tool,
            operation: operation,
            policy: policy,
            asking: admission.principals(of: agent).union(askers.flatMap(\.principals)),
            accounts: admission.accounts(of: agent).union(askers.map(\.account))
        )
    }
}
