import EnsignManifest
import EnsignModel

/// Where the manifests grant what a live bundle allows, as far as they still say the same.
///
/// A bundle is made once; the manifests of the accepted commit may have moved on while a rollout holds it.
struct GrantPlaces {
    private let compiler: EnvironmentCompiler
    private var resolved: [AgentID: ResolvedDeployment?] = [:]

    init(_ fleet: Fleet, _ environment: String) {
        // Findings of what was accepted long ago are not this question's.
        compiler = EnvironmentCompiler(
            fleet: Fleet(snapshot: fleet.snapshot, today: fleet.today),
            environment: environment
        )
    }

    /// The permission of the manifests that explains an operation of a live bundle; nil when none does.
    mutating func permission(_ agent: AgentID, _ call: (tool: String, operation: String), _ live: BundleOperation)
        throws
        -> Permission?
    {
        if resolved[agent] == nil { resolved[agent] = .some(try compiler.resolve(agent)) }
        guard let known = resolved[agent] ?? nil else { return nil }
        return known.permissions.first { permission in
            permission.tool == call.tool && permission.operation == call.operation
                && permission.effectiveApproval == live.approval && permission.expires == live.expires
                && permission.input == live.input
        }
    }
}
