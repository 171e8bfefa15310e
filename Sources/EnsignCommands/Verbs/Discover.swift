import EnsignCommandLine
import EnsignManifest
import EnsignModel
import EnsignQueries

extension Verb {
    static let discover = Verb(
        name: "discover",
        group: .ask,
        summary: "List agents, tools and models that act and are not declared",
        discussion: """
            Reads telemetry and compares what acts in it with the manifests: agents under any name that a framework gave \
            them, the tools they call and the models they ask, how often, and since when. What carries a bundle is \
            declared. With --write it writes manifests to start from for each agent that it lists, in the team that \
            --team names, else in 'unowned': somebody has to say whose it is. Nothing is deployed, and no file is \
            overwritten.
            """,
        options: [
            Option(
                name: "telemetry",
                summary: "Read this file or folder of OTLP/JSON lines",
                value: "PATH",
                kind: .file,
                isRequired: true
            ),
            Option(name: "write", summary: "Write manifests to start from", use: OptionUse(formats: [.text])),
            Option(
                name: "team",
                summary: "Name the team that owns them",
                value: "TEAM",
                kind: .team,
                use: OptionUse(needs: ["write"], because: "without it nothing is written that somebody owns")
            ),
        ],
        formats: [.text, .json],
        examples: [
            Example(
                command: "ensign discover --telemetry /var/lib/otel/traces",
                meaning: "which agents run that nobody has declared?"
            ),
            Example(
                command: "ensign discover --telemetry traces.jsonl --write --team support",
                meaning: "manifests to start from, for each of them"
            ),
        ]
    ) { invocation in
        guard let path = invocation["telemetry"] else {
            throw UsageError(message: "'discover' needs --telemetry PATH", verb: "discover")
        }
        let scaffold = try Scaffold(invocation)
        let report: ShadowReport
        do {
            report = try ShadowReport.make(path, scaffold.fleet)
        } catch let failure as TelemetryReview.Failure {
            throw invocation.explained(failure, path)
        }
        if invocation.has("write") { return try scaffold.shadows(report) }
        if invocation.format == .json {
            invocation.json(report.json)
        } else {
            invocation.console.out(ShadowRenderer(report: report, console: invocation.console).text)
            if report.isEmpty, !invocation.isQuiet {
                invocation.console.note("everything that acts there is declared, or nothing does")
            }
        }
        return .done
    }
}
