import EnsignCommandLine
import EnsignModel
import EnsignQueries
import EnsignSystem

extension Verb {
    static let telemetry = Verb(
        name: "telemetry",
        group: .ask,
        summary: "Say what of a file of telemetry counts, and why the rest does not",
        discussion: """
            'check' reads a file of OTLP/JSON lines, or a folder of them, as 'ensign watch' does, and changes nothing. \
            Span name by span name it says what counts as a run, a call, a model call, and whether tokens, cost and \
            arguments are there; for whatever does not count, why, with an example and what to do. Exits with 4 when no \
            run counts, or when something that an agent did does not.
            """,
        arguments: [
            Argument(name: "ACTION", summary: "What to do", kind: .choice(["check"])),
            Argument(name: "PATH", summary: "A file called *.jsonl or *.json, or a folder of such", kind: .file),
        ],
        options: [.environment],
        formats: [.text, .json],
        examples: [
            Example(
                command: "ensign telemetry check /var/lib/ensign/telemetry/prod --env prod",
                meaning: "does everything that agents do there count?"
            ),
            Example(
                command: "ensign telemetry check spans.jsonl --env dev --output json",
                meaning: "what a framework writes, for a program"
            ),
        ],
        output: .answer
    ) { invocation in
        guard invocation.argument(0) == "check" else {
            throw UsageError(message: "'\(invocation.argument(0) ?? "")' is not an action: check", verb: "telemetry")
        }
        let site = try invocation.site()
        let environment = try invocation.knownEnvironment(site)
        try site.requireLedger(environment)
        let path = invocation.argument(1) ?? ""
        let now = Moment(nanoseconds: Machine.nanoseconds)
        let review: TelemetryReview
        do {
            review = try TelemetryReview.make(site, environment, path: path, now: now)
        } catch let failure as TelemetryReview.Failure {
            throw invocation.explained(failure, path)
        }
        if invocation.format == .json {
            invocation.json(review.json)
        } else {
            invocation.console.out(TelemetryReviewRenderer(review: review, console: invocation.console).text)
        }
        return review.isGood ? .done : .refused
    }
}

extension Invocation {
    func explained(_ failure: TelemetryReview.Failure, _ path: String) -> Failure {
        switch failure {
        case .missing: Failure(message: "there is no file or folder \(path.quoted(utf8: 256))")
        case .notTelemetry:
            Failure(
                message: "\(path.quoted(utf8: 256)) is not read as telemetry",
                hints: ["only files called *.jsonl or *.json are, one JSON object of OTLP a line"]
            )
        }
    }
}
