package import EnsignModel

/// What an agent may do more, and what less, than before.
///
/// What cannot be shown to be narrower counts as gained.
package struct AuthorityDifference: Sendable, Hashable {
    /// Sentences without a subject: "may now call payments.refund".
    package private(set) var gained: [String] = []
    package private(set) var lost: [String] = []
    /// The same as fields and texts, in the order found.
    package private(set) var lines: [BundleDifference.Line] = []

    /// Compares what two bundles allow; nil stands for an agent that is not there.
    ///
    /// - Parameter delegated: What is gained through other agents, in sentences; see ``DelegatedAuthority``.
    package init(before: Bundle?, after: Bundle?, delegated: [String] = []) {
        compareTools(before, after)
        compareDelegates(before, after)
        for sentence in delegated { gain("delegates", sentence) }
        guard let before, let after else { return }
        compareLimits(before.limits, after.limits)
        if before.identity != after.identity {
            gain("identity", "acts as \(after.identity) (was \(before.identity))")
        }
        if before.autonomy != after.autonomy {
            let sentence = "autonomy is \(after.autonomy.rawValue) (was \(before.autonomy.rawValue))"
            if after.autonomy > before.autonomy { gain("autonomy", sentence) } else { lose("autonomy", sentence) }
        }
    }

    private mutating func gain(_ field: String, _ sentence: String) {
        gained.append(sentence)
        lines.append(BundleDifference.Line(field: field, text: sentence))
    }

    private mutating func lose(_ field: String, _ sentence: String) {
        lost.append(sentence)
        lines.append(BundleDifference.Line(field: field, text: sentence))
    }

    // MARK: Tools

    private mutating func compareTools(_ before: Bundle?, _ after: Bundle?) {
        let (old, new) = (before?.toolsByName ?? [:], after?.toolsByName ?? [:])
        for name in Set(old.keys).union(new.keys).sorted() {
            let (was, now) = (old[name], new[name])
            if let was, let now { compareReach(name, was, now) }
            let operations = Set(was?.operations.keys.map { $0 } ?? []).union(now?.operations.keys.map { $0 } ?? [])
            for operation in operations.sorted() {
                compareOperation("\(name).\(operation)", was?.operations[operation], now?.operations[operation])
            }
        }
    }

    private mutating func compareReach(_ name: String, _ was: BundleTool, _ now: BundleTool) {
        if was.credentials != now.credentials {
            gain(
                "tools.\(name).credentials",
                "calls \(name) with credentials \(now.credentials ?? "none") (was \(was.credentials ?? "none"))"
            )
        }
        if was.server != now.server {
            let isSame = was.serverWords == now.serverWords
            let (old, new) =
                isSame ? (was.server?.text ?? "none", now.server?.text ?? "none") : (was.serverWords, now.serverWords)
            gain("tools.\(name).server", "reaches \(name) through \(new) (was \(old))")
        }
    }

    private mutating func compareOperation(_ name: String, _ was: BundleOperation?, _ now: BundleOperation?) {
        let field = "tools.\(name)"
        switch (was, now) {
        case (nil, nil): return
        case (nil, let now?):
            gain(
                field,
                "may now call \(name) (\(now.access.rawValue), \(now.risk.rawValue) risk)\(now.condition)\(now.limits)"
            )
        case (_?, nil): lose(field, "may no longer call \(name)")
        case (let was?, let now?):
            if now.approval < was.approval {
                gain(
                    field,
                    "may call \(name)\(now.condition.isEmpty ? " without approval" : now.condition) (was: \(was.approval.phrase))"
                )
            } else if now.approval > was.approval {
                lose(field, "needs \(now.approval.phrase) to call \(name) (was: \(was.approval.phrase))")
            }
            if now.access > was.access || now.risk > was.risk {
                gain(
                    field,
                    "\(name) is \(now.access.rawValue), \(now.risk.rawValue) risk (was \(was.access.rawValue), \(was.risk.rawValue) risk)"
                )
            }
            compareExpiry(name, was.expires, now.expires)
            compareArguments(name, was.input, now.input)
        }
    }

    private mutating func compareExpiry(_ name: String, _ was: CalendarDate?, _ now: CalendarDate?) {
        guard was != now else { return }
        let field = "tools.\(name).expires"
        let sentence =
            "may call \(name) \(now.map { "until \($0)" } ?? "without an end") (was \(was.map { "until \($0)" } ?? "without an end"))"
        switch (was, now) {
        case (_, nil): gain(field, sentence)
        case (nil, _?): lose(field, sentence)
        case (let was?, let now?): if now > was { gain(field, sentence) } else { lose(field, sentence) }
        }
    }

    private mutating func compareArguments(_ name: String, _ was: JSONValue?, _ now: JSONValue?) {
        guard was != now else { return }
        let details = SchemaDetails.differences(was, now)
        let detail = details.isEmpty ? "" : ": \(details.joined(separator: "; "))"
        switch SchemaOrder.change(from: was, to: now) {
        case .wider:
            gain("tools.\(name).input", "may call \(name) with arguments that were not allowed before\(detail)")
        case .narrower:
            lose("tools.\(name).input", "may call \(name) with fewer arguments\(detail)\(Self.unenforced(was, now))")
        case .unenforced, .none: break
        }
    }

    /// Which of the limits that came keep nothing out.
    private static func unenforced(_ was: JSONValue?, _ now: JSONValue?) -> String {
        let old = Set(UntypedLimits(ofArguments: was ?? true).limits.map(\.pointer))
        let new = UntypedLimits(ofArguments: now ?? true).limits.map(\.pointer).filter { !old.contains($0) }
        guard let first = new.first else { return "" }
        let place = first.filter { $0 != "properties" }.joined(separator: ".")
        let more = new.count > 1 ? " and \(new.count - 1) more" : ""
        return "; values of another type get past \(place)\(more)"
    }

    // MARK: Delegates and limits

    private mutating func compareDelegates(_ before: Bundle?, _ after: Bundle?) {
        let (old, new) = (Set(before?.delegates ?? []), Set(after?.delegates ?? []))
        for agent in new.subtracting(old).sorted() { gain("delegates", "may now hand work to \(agent)") }
        for agent in old.subtracting(new).sorted() { lose("delegates", "may no longer hand work to \(agent)") }
    }

    private mutating func compareLimits(_ was: BundleLimits, _ now: BundleLimits) {
        compareLimit("limits.steps", "steps a run", was.run.steps.map(Double.init), now.run.steps.map(Double.init))
        compareLimit("limits.tokens", "tokens a run", was.run.tokens.map(Double.init), now.run.tokens.map(Double.init))
        compareLimit("limits.costUSD", "USD a run", was.run.costUSD, now.run.costUSD)
        compareLimit(
            "limits.seconds",
            "seconds a run",
            was.run.seconds.map(Double.init),
            now.run.seconds.map(Double.init)
        )
        compareLimit("limits.costUSDPerDay", "USD a day", was.costUSDPerDay, now.costUSDPerDay)
    }

    private mutating func compareLimit(_ field: String, _ unit: String, _ was: Double?, _ now: Double?) {
        guard was != now else { return }
        func shown(_ value: Double?) -> String {
            value.map { "\(JSONValue($0).text) \(unit)" } ?? "any number of \(unit)"
        }
        let sentence = "may use \(shown(now)) (was \(was.map { JSONValue($0).text } ?? "unlimited"))"
        if let now, now < was ?? .infinity { lose(field, sentence) } else { gain(field, sentence) }
    }
}

extension BundleOperation {
    /// "", ", with a manager's approval" and so on.
    fileprivate var condition: String {
        switch approval {
        case .none: ""
        case .manager, .dual: " with \(approval.phrase)"
        }
    }

    /// ", amount at most 20, until 2029-12-31": what stands behind a new grant.
    fileprivate var limits: String {
        (SchemaLimits.phrases(input.map(UntypedLimits.enforced)) + (expires.map { ["until \($0)"] } ?? [])).map {
            ", \($0)"
        }.joined()
    }
}

extension BundleTool {
    /// The server's URL or command.
    fileprivate var serverWords: String {
        guard let server else { return "no server" }
        if let url = server["mcp"]?["url"]?.string { return url }
        if let command = server["mcp"]?["command"]?.array?.compactMap(\.string), !command.isEmpty {
            return "the command '\(command.joined(separator: " "))'"
        }
        return server.text
    }
}

extension Bundle {
    /// A bundle that was read back may name a tool twice: a compiled one never does.
    var toolsByName: [String: BundleTool] { Dictionary(tools.map { ($0.tool, $0) }) { first, _ in first } }
}

extension Approval {
    /// The approval in words.
    package var phrase: String {
        switch self {
        case .none: "no approval"
        case .manager: "a manager's approval"
        case .dual: "the approval of two people"
        }
    }
}

extension JSONValue {
    /// Canonical JSON as text.
    package var text: String { String(decoding: canonicalBytes(), as: UTF8.self) }
}
