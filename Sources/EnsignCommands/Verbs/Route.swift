import EnsignCommandLine
import EnsignCrypto
import EnsignHost
import EnsignModel

extension Verb {
    static let route = Verb(
        name: "route",
        group: .ask,
        summary: "Say which version a session of an agent takes",
        discussion: """
            Answers as every client does: from the live route and the session's key. Reads the live directory, or in \
            a clone that hosts none the ledger, and says so.
            """,
        arguments: [Argument(name: "AGENT", summary: "The agent, <team>/<agent>", kind: .agent)],
        options: [
            .environment,
            Option(name: "key", summary: "Give the session's key", value: "KEY", isRequired: true),
        ],
        formats: [.text, .json],
        examples: [
            Example(
                command: "ensign route support/refund-triage --env prod --key ticket-4711",
                meaning: "the version that this ticket's session gets"
            )
        ],
        output: .answer
    ) { invocation in
        let site = try invocation.site()
        let agent = try invocation.agent(0)
        let environment = try invocation.knownEnvironment(site)
        let key = invocation["key"] ?? ""
        guard let (route, origin) = try LiveRoute.read(agent, environment, site) else {
            try site.requireLedger(environment)
            try invocation.requireKnown(agent, environment, site)
            throw Failure(
                message: "'\(agent)' has no route in '\(environment)'",
                hints: ["'ensign get agents --env \(environment)' says what is live, and why not"]
            )
        }
        guard let text = route.bucketText(key: key) else {
            throw Refusal(message: "'\(agent)' is halted in '\(environment)': no session gets a route")
        }
        let bucket = Route.bucket(sha256: SHA256.digest(of: text))
        guard let target = route.target(bucket: bucket) else {
            throw Failure(message: "the route of '\(agent)' does not add up to 100", code: .integrity)
        }
        if origin == .ledger, !invocation.isQuiet {
            invocation.console.note("\(environment): from the ledger: this clone hosts no live directory")
        }
        if invocation.format == .json {
            invocation.json([
                "v": 1, "agent": .string(agent.description), "environment": .string(environment),
                "phase": .string(route.phase.rawValue), "version": .string(target.version.description),
                "digest": .string(target.digest.description), "bucket": .integer(bucket),
                "from": .string(origin.rawValue),
            ])
        } else {
            invocation.console.line("\(target.version) \(target.digest) (bucket \(bucket), \(route.phase.rawValue))")
        }
        return .done
    }
}
