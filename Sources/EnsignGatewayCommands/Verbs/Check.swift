import EnsignCommandLine
import EnsignGateway
import EnsignModel
import EnsignSystem

extension Verb {
    static let check = Verb(
        name: "check",
        group: .ask,
        summary: "Check the operator's file, the live directory, and what every server offers",
        discussion: """
            Reads the file and this machine, reads the live directory as a call would, starts or asks every server, and \
            holds what it offers against what agents are granted. Says of each tool that is off why. Changes nothing. \
            Exit status 0 when all is well, 3 when the file is not valid, 4 when something is off.
            """,
        options: [
            .operatorFile,
            Option(name: "no-servers", summary: "Start and ask no server: check the file and this machine alone"),
        ] + Option.places,
        formats: [.text, .json],
        examples: [
            Example(
                command: "ensign-gateway check --config /etc/ensign/prod-gateway.yaml",
                meaning: "whether an agent could be served now, and what would be off"
            )
        ],
        output: .answer
    ) { invocation in
        let operatorFile = try OperatorFile(invocation)
        let console = invocation.console
        let surroundings = Surroundings()
        let findings = (operatorFile.findings + surroundings.findings(of: operatorFile.file)).sorted()
        let isInvalid = findings.contains { $0.severity == .error }
        let claim = Claim(operatorFile.file, isStarted: false)
        if invocation.has("no-servers") {
            if invocation.format == .json {
                invocation.json([
                    "v": 1, "findings": .array(findings.map(\.json)), "survey": .null, "claim": claim.json,
                ])
            } else {
                operatorFile.show(findings, console)
            }
            return isInvalid ? .invalid : .done
        }
        let speaker = Speaker(console)
        let gateway = try Gateway(operatorFile.file, version: GatewayApp.version, surroundings: surroundings) {
            speaker.say($0)
        }
        let survey = Survey(gateway)
        gateway.end(nil)
        if invocation.format == .json {
            invocation.json([
                "v": 1, "findings": .array(findings.map(\.json)), "survey": survey.json, "claim": claim.json,
            ])
        } else {
            operatorFile.show(findings, console)
            SurveyRenderer(console: console).render(survey)
            // What it could claim with another file is not for this one to say.
            if !findings.contains(where: { $0.severity == .error }) { console.line(claim.sentence) }
        }
        if isInvalid { return .invalid }
        return survey.hasProblems ? .refused : .done
    }
}

/// A survey for people.
struct SurveyRenderer {
    let console: Console

    func render(_ survey: Survey) {
        // Where the live directory cannot be read nothing is known of it, which its trouble says.
        if let name = survey.environment {
            console.line("\(console.paint(name, .bold)): \(counted(survey.agents, "agent"))")
        }
        for trouble in survey.trouble { console.line("  \(console.paint("off", .red)) \(trouble.onOneLine)") }
        for tool in survey.tools { render(tool) }
    }

    private func render(_ tool: Survey.Tool) {
        let server = tool.server.map { $0.onOneLine(utf8: 200) } ?? "no upstream"
        console.line("\(console.paint(tool.name, .bold)) \(console.paint(server, .dim))")
        for problem in tool.problems { console.line("  \(console.paint("off", .red)) \(problem.onOneLine(utf8: 500))") }
        if tool.isUnused { console.line("  \(console.paint("unused", .yellow)) no agent is granted anything of it") }
        let unknown = tool.operations.filter { $0.state == .unknown }
        for operation in tool.operations where operation.state != .unknown { console.line("  " + words(operation)) }
        if !unknown.isEmpty {
            let names = unknown.map { "\($0.name) (\(counted($0.agents.count, "agent")))" }
            console.line("  granted, and not asked about: \(names.joined(separator: ", "))")
        }
        for operation in tool.operations where !operation.unapprovable.isEmpty {
            let agents = operation.unapprovable.prefix(5).map(\.description).joined(separator: ", ")
            let more = operation.unapprovable.count > 5 ? " and \(operation.unapprovable.count - 5) more" : ""
            console.line(
                "  \(console.paint("off", .red)) \(operation.name): needs an approval that nobody can give now, for \(agents)\(more)"
            )
        }
        guard !tool.others.isEmpty else { return }
        let shown = tool.others.prefix(10).map { $0.onOneLine(utf8: 130) }.joined(separator: ", ")
        let more = tool.others.count > 10 ? ", ..." : ""
        console.line("  offered and granted to nobody: \(shown)\(more)")
    }

    private func words(_ operation: Survey.Operation) -> String {
        let agents = counted(operation.agents.count, "agent")
        let name = "\(operation.shown) (\(agents))"
        switch operation.state {
        case .pinned: return "\(console.paint("ok", .green)) \(name): as it was reviewed"
        case .firstSeen: return "\(console.paint("ok", .green)) \(name): as it was first seen; no pin in git"
        case .new:
            return "\(console.paint("ok", .green)) \(name): seen for the first time, and pinned so; no pin in git"
        case .changed where operation.isListedTwice:
            return "\(console.paint("off", .red)) \(name): the server lists it twice, with different definitions"
        case .changed:
            let pin = operation.pin?.short ?? "several"
            let offered = operation.offered?.short ?? "nothing"
            let place = operation.isPinnedInGit ? "pinned in git" : "first seen"
            return "\(console.paint("off", .red)) \(name): the server offers \(offered), and \(place) is \(pin)"
        case .missing: return "\(console.paint("off", .red)) \(name): the server does not offer it"
        case .unknown: return name
        }
    }
}
