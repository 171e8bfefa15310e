import EnsignManifest
package import EnsignModel

package func agent(_ name: String) -> AgentID {
    guard let agent = AgentID(name) else { preconditionFailure("\(name) is not an agent") }
    return agent
}

package func version(_ text: String) -> AgentVersion {
    guard let version = AgentVersion(text) else { preconditionFailure("\(text) is not a version") }
    return version
}

/// A bundle with one tool, for tests that change one thing.
package func bundle(
    _ id: String = "support/triage",
    _ versionText: String = "1.0.0",
    _ change: (inout Bundle) -> Void = { _ in }
) -> Bundle {
    guard let crm = SemanticVersion("2.1.0"), let artifact = Digest(hex: String(repeating: "a", count: 64)) else {
        preconditionFailure("constants")
    }
    var bundle = Bundle(
        agent: agent(id),
        version: version(versionText),
        environment: "prod",
        artifact: artifact,
        identity: "spiffe://fleet.local/prod/\(id)",
        description: "Sorts.",
        labels: [:],
        model: Model(provider: "anthropic", name: "claude-sonnet-4-5", parameters: ["temperature": 0.2]),
        instructions: "Sort.\n",
        contract: Contract(input: nil, output: nil),
        tools: [
            BundleTool(
                tool: "crm",
                version: crm,
                description: nil,
                server: ["mcp": ["command": ["crm"]]],
                credentials: "vault:crm",
                operations: [
                    "find": operation(.read, .low), "update": operation(.write, .medium, .manager),
                ]
            )
        ],
        delegates: [],
        autonomy: .full,
        limits: BundleLimits(run: RunLimits(steps: 8, tokens: nil, costUSD: 0.5, seconds: 90), costUSDPerDay: 40),
        runtime: ["kind": "langgraph"]
    )
    change(&bundle)
    return bundle
}

package func operation(_ access: Access, _ risk: Risk, _ approval: Approval = .none, input: JSONValue? = nil)
    -> BundleOperation
{
    BundleOperation(
        description: nil,
        access: access,
        risk: risk,
        approval: approval,
        idempotent: false,
        timeout: nil,
        expires: nil,
        input: input,
        output: nil
    )
}

package func compiled(_ bundle: Bundle, halted: Bool = false, former: Digest? = nil) -> CompiledBundle {
    let bytes = bundle.bytes
    return CompiledBundle(
        bundle: bundle,
        bytes: bytes,
        digest: Compiler.digest(of: bytes),
        halted: halted,
        formerArtifact: former
    )
}
