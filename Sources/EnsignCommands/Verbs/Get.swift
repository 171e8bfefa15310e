import EnsignManifest
import EnsignModel
import EnsignQueries

extension Verb {
    static let get = Verb(
        name: "get",
        group: .ask,
        summary: "List agents, tools or teams",
        discussion: "Reads the branch's tip, or the revision that --rev names.",
        arguments: [
            Argument(
                name: "WHAT",
                summary: "agents, tools or teams",
                kind: .choice(Registry.Kind.allCases.map(\.rawValue))
            )
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
        let kind = invocation.argument(0).flatMap { Registry.Kind(rawValue: $0) } ?? .agents
        let registry = try Registry.read(kind, fleet, at: commit)
        if invocation.format == .json {
            invocation.json(registry.json)
        } else if invocation.isQuiet {
            for row in registry.table.rows { invocation.console.line(row[0]) }
        } else {
            invocation.console.out(registry.table.render(invocation.console))
        }
        return .done
    }
}
