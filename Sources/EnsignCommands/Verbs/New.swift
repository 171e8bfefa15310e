import EnsignCommandLine
import EnsignModel

extension Verb {
    static let new = Verb(
        name: "new",
        group: .declare,
        summary: "Write manifests to start from",
        discussion: """
            Writes files that validate as they are and never overwrites one. 'new agent' also declares the team if it \
            is new, and deploys the agent where 'next' may run. 'new version' starts 'next' from the newest release. \
            'new tool' continues a tool that is there with its next minor version. 'new deployment' lets an agent run \
            in an environment, with no grants yet: the version that the environment before runs, else the newest release. \
            'new binding' says where an environment reaches a tool.
            """,
        arguments: [
            Argument(
                name: "KIND",
                summary: "agent, version, tool, role, team, env, deployment or binding",
                kind: .choice(["agent", "version", "tool", "role", "team", "env", "deployment", "binding"])
            ),
            Argument(
                name: "NAME",
                summary: "<team>/<agent> for agent, version and deployment, else a name",
                kind: .subject
            ),
        ],
        options: [
            Option(
                name: "team",
                summary: "Name the team that owns it",
                value: "TEAM",
                kind: .team,
                use: OptionUse(with: ["tool"])
            ),
            Option(
                name: "env",
                summary: "Name the environment",
                value: "ENV",
                kind: .environment,
                use: OptionUse(with: ["deployment", "binding"])
            ),
            Option(
                name: "tool",
                summary: "Name the tool that it grants",
                value: "TOOL",
                kind: .tool,
                use: OptionUse(with: ["role"])
            ),
        ],
        examples: [
            Example(command: "ensign new env dev", meaning: "environments/dev/environment.yaml"),
            Example(
                command: "ensign new agent support/refund-triage",
                meaning: "an agent with a prompt, deployed in dev"
            ),
            Example(command: "ensign new tool crm --team sales", meaning: "fleet/tools/crm/0.1.0.yaml"),
            Example(
                command: "ensign new deployment support/refund-triage --env prod",
                meaning: "its newest release, with nothing granted yet"
            ),
        ]
    ) { invocation in
        let scaffold = try Scaffold(invocation)
        let name = invocation.argument(1) ?? ""
        switch invocation.argument(0) {
        case "agent": return try scaffold.agent(name)
        case "version": return try scaffold.version(name)
        case "tool": return try scaffold.tool(name)
        case "role": return try scaffold.role(name)
        case "team": return try scaffold.team(name)
        case "binding": return try scaffold.binding(name)
        case "deployment": return try scaffold.deployment(name)
        default: return try scaffold.environment(name)
        }
    }
}
