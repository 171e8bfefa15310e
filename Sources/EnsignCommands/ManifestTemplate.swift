import EnsignModel

/// The text of manifests to start from. Each validates as it is.
enum ManifestTemplate {
    static func environment(promotesFrom source: String?) -> String {
        guard let source else {
            return """
                apiVersion: ensign.dev/v1
                kind: Environment
                spec:
                  mutableVersions: true     # deployments here may name version: next

                """
        }
        return """
            apiVersion: ensign.dev/v1
            kind: Environment
            spec:
              promotesFrom: \(source)
              maxPruneShare: 0.3        # more removals at once need --allow-prune

            """
    }

    static func agent(_ name: String) -> String {
        """
        apiVersion: ensign.dev/v1
        kind: Agent
        spec:
          description: What \(name) is for, in a sentence.
          model: {provider: anthropic, name: claude-sonnet-4-5}
          instructions: prompt.md
          # needs:
          #   tools:
          #     - {tool: NAME, version: 1.0.0, operations: [lookup]}
          limits: {steps: 8, tokens: 20000, costUSD: 0.50, seconds: 90}

        """
    }

    static func prompt(_ name: String) -> String {
        """
        # \(name)

        Say who the agent is, what it decides, by which rules, and when it hands over to a person.

        """
    }

    static func team(_ name: String, member: String) -> String {
        """
        apiVersion: ensign.dev/v1
        kind: Team
        spec:
          members: [\(member)]
          escalation: oncall-\(name)@example.com

        """
    }

    /// A team that owns a tool, and no agent yet.
    static func smallTeam(member: String) -> String {
        """
        apiVersion: ensign.dev/v1
        kind: Team
        spec: {members: [\(member)]}

        """
    }

    static func binding(_ tool: String, _ environment: String) -> String {
        """
        apiVersion: ensign.dev/v1
        kind: Binding
        spec:
          server: {mcp: {url: "https://\(tool).\(environment).example.com/mcp"}}
          credentials: {ref: "vault:\(tool)-\(environment)"}

        """
    }

    /// - Parameter needs: What the version needs: said, and not granted.
    static func deployment(_ version: AgentVersion, needs: [ToolNeed]) -> String {
        var text = """
            apiVersion: ensign.dev/v1
            kind: Deployment
            spec:
              version: \(version)
              autonomy: draft           # only what reads; raise it when you trust it

            """
        guard !needs.isEmpty else { return text }
        text += "  # Nothing is granted but what is here. What it needs:\n  # grants:\n"
        for need in needs {
            text += "  #   - {tool: \(need.tool.value), \(need.operations.text)}\n"
        }
        return text
    }

    static func role(_ tool: String, _ operation: String) -> String {
        """
        apiVersion: ensign.dev/v1
        kind: Role
        spec:
          grants:
            - {tool: \(tool), operations: [\(OperationName.inYAML(operation))]}

        """
    }

    static func tool(_ name: String, owner: String) -> String {
        """
        apiVersion: ensign.dev/v1
        kind: Tool
        spec:
          owner: \(owner)
          description: What \(name) is.
          server: {mcp: {command: [\(name)-mcp]}}
          operations:
            lookup:
              access: read
              risk: low
              idempotent: true
              timeout: 5s
              input:
                type: object
                required: [id]
                additionalProperties: false
                properties:
                  id: {type: string}
          credentials: {ref: "vault:\(name)"}

        """
    }
}
