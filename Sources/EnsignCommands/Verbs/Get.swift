import EnsignManifest
import EnsignModel
import EnsignReconciler

extension Verb {
    static let get = Verb(
        name: "get",
        group: .ask,
        summary: "List agents, tools or teams",
        discussion: "Reads the branch's tip, or the revision that --rev names.",
        arguments: [
            Argument(name: "WHAT", summary: "agents, tools or teams", kind: .choice(["agents", "tools", "teams"]))
        ],
        options: [Option(name: "rev", summary: "Read this revision", value: "REV", kind: .revision)],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign get agents", meaning: "who runs what where"),
            Example(command: "ensign get tools --output json", meaning: "the tools, for a program"),
        ]
    ) { invocation in
        let site = try invocation.site()
        let (fleet, commit) = try site.fleet(at: invocation["rev"], today: invocation.today)
        let listing: Listing =
            switch invocation.argument(0) {
            case "agents": try .agents(fleet)
            case "tools": try .tools(fleet)
            default: try .teams(fleet)
            }
        if invocation.format == .json {
            invocation.json([
                "v": 1, "commit": .string(commit.description), (invocation.argument(0) ?? ""): .array(listing.json),
            ])
        } else if invocation.isQuiet {
            for row in listing.table.rows { invocation.console.line(row[0]) }
        } else {
            invocation.console.out(listing.table.render(invocation.console))
        }
        return .done
    }
}

/// Rows of one kind, as a table and as JSON.
private struct Listing {
    var table: TextTable
    var json: [JSONValue] = []

    static func agents(_ fleet: Fleet) throws -> Listing {
        let environments = try fleet.environmentNames()
        var listing = Listing(
            table: TextTable(header: ["AGENT", "VERSIONS"] + environments.map { $0.uppercased() } + ["DESCRIPTION"])
        )
        for agent in try fleet.agents() {
            let versions = try fleet.agentVersions(agent)
            var deployed: [String] = []
            var object = JSONObject()
            for environment in environments {
                let deployment = try fleet.deployment(agent, in: environment)?.value
                deployed.append(
                    deployment.map { ($0.version?.value.description ?? "?") + ($0.halted ? " (halted)" : "") } ?? "-"
                )
                object[environment] =
                    deployment?.version.map { .string($0.value.description) } ?? .null
            }
            let newest = try versions.last.flatMap { try fleet.agent(agent, $0)?.value }
            listing.table.rows.append(
                [agent.description, versions.map(\.description).joined(separator: " ")] + deployed
                    + [(newest?.description ?? "").escapedControls.shortened(to: 60)]
            )
            listing.json.append([
                "agent": .string(agent.description), "team": .string(agent.team),
                "description": .string(newest?.description ?? ""),
                "versions": .array(versions.map { .string($0.description) }), "environments": .object(object),
            ])
        }
        return listing
    }

    static func tools(_ fleet: Fleet) throws -> Listing {
        var listing = Listing(table: TextTable(header: ["TOOL", "VERSION", "OWNER", "OPERATIONS"]))
        for name in try fleet.names(in: "tools", files: false) {
            for version in try fleet.toolVersions(name) {
                guard let tool = try fleet.tool(name, version)?.value else { continue }
                let operations = tool.operations.sorted { $0.key < $1.key }
                listing.table.rows.append([
                    name, version.description, tool.owner.value,
                    operations.map { "\($0.key) (\($0.value.access.rawValue))" }.joined(separator: ", "),
                ])
                listing.json.append([
                    "tool": .string(name), "version": .string(version.description), "owner": .string(tool.owner.value),
                    "description": .string(tool.description ?? ""),
                    "operations": .object(JSONObject(operations.map { ($0.key, $0.value.json) })),
                ])
            }
        }
        return listing
    }

    static func teams(_ fleet: Fleet) throws -> Listing {
        var listing = Listing(table: TextTable(header: ["TEAM", "AGENTS", "MEMBERS", "ESCALATION"]))
        let agents = try fleet.agents()
        for name in try fleet.names(in: "teams", files: true) {
            guard let team = try fleet.team(name)?.value else { continue }
            let owned = agents.filter { $0.team == name }
            listing.table.rows.append([
                name, String(owned.count), team.members.joined(separator: ", ").escapedControls,
                (team.escalation ?? "-").escapedControls,
            ])
            listing.json.append([
                "team": .string(name), "members": .array(team.members.map { .string($0) }),
                "escalation": team.escalation.map { .string($0) } ?? .null,
                "agents": .array(owned.map { .string($0.description) }),
            ])
        }
        return listing
    }
}
