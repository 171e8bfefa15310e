import EnsignModel
import EnsignTelemetry

// What a review says to people, in words.

extension SpanReview.Total {
    func notes(model: String?) -> [String] {
        var notes: [String] = []
        for (name, count) in fallbacks.sorted(by: { $0.key < $1.key }) {
            notes.append(
                "cost of \(counted(count, "run", "runs")) is that of the bundle's own model \(model ?? "-"): "
                    + Self.missingPrice(name)
            )
        }
        for (name, count) in unpriced.sorted(by: { $0.key < $1.key }) {
            notes.append(
                "\(counted(count, "run has", "runs have")) no cost: \(Self.missingPrice(name)), "
                    + "and the bundle's own model \(model ?? "-") has none either (fleet/prices.yaml)"
            )
        }
        if withoutTokens > 0 {
            notes.append("\(counted(withoutTokens, "run says", "runs say")) nothing of tokens: no tokens, no cost")
        }
        if badTokens > 0 { notes.append("\(counted(badTokens, "run has", "runs have")) impossible tokens") }
        return notes
    }

    private static func missingPrice(_ name: String) -> String {
        name.isEmpty ? "no span names a model" : "\(name.quoted(utf8: 200)) has no price"
    }
}

extension SpanReview.Row {
    /// What the spans count as.
    var words: [String] {
        var words: [String] = []
        if runs > 0 {
            words.append(counted(runs, "run", "runs") + (failed > 0 ? ", \(failed) of them failed" : ""))
        }
        if parts > 0 { words.append(counted(parts, "part of a run", "parts of runs")) }
        if inRuns > 0 {
            let isCall = kind == .call
            var text = isCall ? counted(inRuns, "call", "calls") : counted(inRuns, "model call", "model calls")
            if isCall { text += withArguments > 0 ? " with arguments" : ", no arguments" }
            if !isCall, withTokens > 0 { text += " with tokens" }
            if !isCall, withTokens == 0 { text += ", no tokens" }
            words.append(text)
        }
        if views > 0 { words.append("\(counted(views, "call", "calls")) counted with the span inside") }
        if unusableArguments > 0 {
            words.append("\(unusableArguments) with arguments that say nothing of the call")
        }
        if withoutName > 0 { words.append("\(withoutName) without a name, which unknownTool does not see") }
        if idle > 0 {
            words.append(
                "nothing: \(idle) with a bundle in traces in which no span says that an agent, a tool or a model was at work"
            )
        }
        if words.isEmpty, troubles.isEmpty { words.append("nothing by itself") }
        if !troubles.isEmpty {
            let lost = troubles.filter { $0.key != .rejected(.duplicate) }.values.reduce(0) { $0 + $1.count }
            let twice = troubles[.rejected(.duplicate)]?.count ?? 0
            if lost > 0 { words.append("\(lost) not counted") }
            if twice > 0 { words.append("\(twice) read before") }
        }
        return words
    }
}

extension SpanReview.Trouble.Reason {
    var name: String {
        switch self {
        case .rejected(let reason): reason.rawValue
        case .alone: "no-run"
        case .others: "other-agent"
        }
    }

    func why(_ kind: SpanReview.Kind, _ example: SpanReview.Example, _ environment: String) -> String {
        let name = example.claim.name.map { $0.quoted(utf8: 128) }
        let bundle = example.claim.bundle.map { $0.quoted(utf8: 128) }
        switch self {
        case .alone:
            return "no run is around it: neither it nor a span above it that counts is an agent's"
        case .others:
            return "it names \(name ?? bundle ?? "another agent"), and is in a run of another agent"
        case .rejected(let reason):
            switch reason {
            case .unknownAgent:
                guard let name else { return "it names no agent: ensign.bundle and gen_ai.agent.name are missing" }
                return AgentID(example.claim.name ?? "") == nil
                    ? "ensign.bundle is missing, and \(name) is a framework's name, not <team>/<agent>"
                    : "agent \(name) has no route in \(environment)"
            case .unknownBundle: return "\(environment) runs no bundle \(bundle ?? "-")"
            case .unknownVersion:
                let version = example.claim.version.map { "version \($0.quoted(utf8: 128))" }
                return version.map {
                    "\(environment) does not run \($0) of \(name ?? "-"), and ensign.bundle is missing"
                }
                    ?? "\(name ?? "-") is named without ensign.bundle or gen_ai.agent.version"
            case .ambiguousVersion:
                return "several bundles of \(name ?? "-") have this version: ensign.bundle is missing"
            case .contradiction: return "ensign.agent is \(name ?? "-"), and ensign.bundle is another agent's"
            case .otherEnvironment:
                let named = example.environments.filter { $0 != environment }.first ?? "-"
                return "deployment.environment.name is \(named.quoted(utf8: 128)), not '\(environment)'"
            case .foreignAgent: return "it is in the folder of an agent, and names \(name ?? bundle ?? "another one")"
            case .boundAgent: return "\(name ?? "its agent") has a folder of its own, and this is not in it"
            case .badTime: return "it ends before it starts, or has no times"
            case .future: return "it ends in the future"
            case .stale: return "it is older than 7 days"
            case .badUsage: return "its tokens are negative, not whole, or too many"
            case .late: return "it came after its run was counted"
            case .evicted: return "more was open than may be"
            default: return reason.rawValue
            }
        }
    }

    func next(_ environment: String) -> String {
        switch self {
        case .alone: return "open the run's own span around the work: with session.run(): (docs/runtimes.md)"
        case .others: return "let each agent's session stamp its own spans alone"
        case .rejected(let reason):
            switch reason {
            case .unknownAgent, .unknownVersion, .ambiguousVersion:
                return "stamp every span with the session's attributes, ensign.bundle among them: "
                    + "provider.add_span_processor(ensign.SpanProcessor()) (docs/runtimes.md)"
            case .unknownBundle:
                return
                    "ensign get agents --env \(environment) says what runs; a session keeps the bundle that it began with"
            case .contradiction: return "set both from one session, or leave ensign.agent out"
            case .otherEnvironment:
                return "check what was written for that environment: --env, or the exporter's resource"
            case .foreignAgent, .boundAgent: return "let the agent's exporter write into its own folder"
            case .badTime, .future: return "look at the clock of the machine that wrote it"
            case .stale: return "check newer telemetry"
            case .badUsage: return "look at what the instrumentation writes into gen_ai.usage"
            case .late: return "let exporters write within 15 seconds: a shorter batch timeout"
            default: return "docs/telemetry.md, \"What is rejected\""
            }
        }
    }
}
