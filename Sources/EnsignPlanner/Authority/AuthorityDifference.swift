package import EnsignModel

/// What an agent may do now and could not before, and the reverse.
///
/// Anything not provably narrower counts as gained.
package struct AuthorityDifference: Sendable, Hashable {
    /// In the order found.
    package private(set) var changes: [AuthorityChange] = []

    /// Sentences without a subject: "may now call payments.refund".
    package var gained: [String] { changes.filter { $0.direction == .gained }.map(\.sentence) }
    package var lost: [String] { changes.filter { $0.direction == .lost }.map(\.sentence) }
    /// The same with every detail.
    package func inFull(_ direction: AuthorityChange.Direction) -> [String] {
        changes.filter { $0.direction == direction }.map(\.sentenceInFull)
    }
    /// The same as fields and texts, in the order found.
    package var lines: [BundleDifference.Line] {
        changes.map { BundleDifference.Line(field: $0.field, text: $0.sentence) }
    }
    package var gains: Bool { changes.contains { $0.direction == .gained } }
    package var loses: Bool { changes.contains { $0.direction == .lost } }

    /// Compares what two bundles allow; nil means that there is no agent.
    ///
    /// - Parameters:
    ///   - delegated: What is gained through other agents; see ``DelegatedAuthority``.
    ///   - former: Who the agent was, where the bundle before has its new name already: its team agreed to its calls.
    package init(
        before: Bundle?,
        after: Bundle?,
        delegated: [AuthorityChange.What] = [],
        former: AgentID? = nil
    ) {
        compareTools(before, after, (former ?? before?.agent)?.team)
        compareDelegates(before, after)
        for what in delegated { gain(what) }
        if let after, after.mode != before?.mode ?? .enforce {
            let (was, now) = (before?.mode ?? .enforce, after.mode)
            note(gained: now == .observe, .mode(.init(was: was, now: now)))
        }
        guard let before, let after else { return }
        compareLimits(before.limits, after.limits)
        if !before.identity.hasSameUTF8(as: after.identity) {
            gain(.identity(.init(was: before.identity, now: after.identity)))
        }
        if before.autonomy != after.autonomy {
            note(gained: after.autonomy > before.autonomy, .autonomy(.init(was: before.autonomy, now: after.autonomy)))
        }
    }

    private mutating func gain(_ what: AuthorityChange.What) { note(gained: true, what) }
    private mutating func lose(_ what: AuthorityChange.What) { note(gained: false, what) }

    private mutating func note(gained: Bool, _ what: AuthorityChange.What) {
        changes.append(AuthorityChange(gained ? .gained : .lost, what))
    }

    // MARK: Tools

    private mutating func compareTools(_ before: Bundle?, _ after: Bundle?, _ formerTeam: String?) {
        let (old, new) = (before?.toolsByName ?? [:], after?.toolsByName ?? [:])
        for name in Set(old.keys).union(new.keys).sorted() {
            let (was, now) = (old[name], new[name])
            if let was, let now { compareReach(name, was, now) }
            let operations = Set(was?.operations.keys.map { $0 } ?? []).union(now?.operations.keys.map { $0 } ?? [])
            for operation in operations.sorted() {
                let (old, new) = (was?.operations[operation], now?.operations[operation])
                compareOperation("\(name).\(operation)", old, new)
                compareServerTool(name, operation, old, new)
                if let old, let new {
                    let usual = UsualApprovers(
                        was: UsualApprovers.of(formerTeam, was, besides: now),
                        now: UsualApprovers.of(after?.agent.team, now, besides: was),
                        areOthers: formerTeam != after?.agent.team
                    )
                    changes += CallConditions.differences("\(name).\(operation)", old, new, usual: usual)
                }
            }
        }
    }

    private mutating func compareReach(_ name: String, _ was: BundleTool, _ now: BundleTool) {
        if !was.credentials.hasSameUTF8(as: now.credentials) {
            gain(.credentials(tool: name, .init(was: was.credentials, now: now.credentials)))
        }
        if was.store != now.store {
            // What no longer says what it keeps may keep anything.
            let isGained = now.store.map { now in was.store.map(now.isWider) ?? true } ?? true
            note(
                gained: isGained,
                .store(tool: name, .init(was: was.store?.sentence, now: now.store?.sentence))
            )
        }
        guard was.server != now.server else { return }
        let isSame = was.serverWords.hasSameUTF8(as: now.serverWords)
        let (old, new) =
            isSame ? (was.server?.text ?? "none", now.server?.text ?? "none") : (was.serverWords, now.serverWords)
        gain(.server(tool: name, .init(was: old, now: new)))
    }

    private mutating func compareOperation(_ name: String, _ was: BundleOperation?, _ now: BundleOperation?) {
        switch (was, now) {
        case (nil, nil): return
        case (nil, let now?): gain(.operation(name, now, limits: now.limits))
        case (_?, nil): lose(.noOperation(name))
        case (let was?, let now?):
            if now.approval != was.approval {
                note(gained: now.approval < was.approval, .approval(name, .init(was: was.approval, now: now.approval)))
            }
            if now.access > was.access || now.risk > was.risk {
                gain(
                    .danger(
                        name,
                        access: .init(was: was.access, now: now.access),
                        risk: .init(was: was.risk, now: now.risk)
                    )
                )
            }
            compareExpiry(name, was.expires, now.expires)
            compareArguments(name, was.taken, now.taken)
        }
    }

    /// Another tool of the server may do anything: its description here says nothing of that.
    private mutating func compareServerTool(
        _ tool: String,
        _ operation: String,
        _ was: BundleOperation?,
        _ now: BundleOperation?
    ) {
        guard let was, let now else { return }
        let (old, new) = (was.serverTool ?? operation, now.serverTool ?? operation)
        if !old.hasSameUTF8(as: new) { gain(.serverTool("\(tool).\(operation)", .init(was: old, now: new))) }
    }

    private mutating func compareExpiry(_ name: String, _ was: CalendarDate?, _ now: CalendarDate?) {
        guard was != now else { return }
        let isLater = now.map { now in was.map { now > $0 } ?? false } ?? true
        note(gained: isLater, .expiry(name, .init(was: was, now: now)))
    }

    private mutating func compareArguments(_ name: String, _ was: JSONValue, _ now: JSONValue) {
        guard was != now else { return }
        var details = SchemaDetails.differences(was, now)
        // Where a schema was put together anew, its parts are too long to be shown: the limits are said by themselves.
        if details.contains(where: { $0.contains("...") }), let limits = SchemaLimits.difference(was, now) {
            details.insert(limits, at: 0)
        }
        switch SchemaOrder.change(from: was, to: now) {
        case .wider: gain(.arguments(name, details: details, past: []))
        case .narrower: lose(.arguments(name, details: details, past: Self.unenforced(was, now)))
        case .unenforced, .none: break
        }
    }

    /// Which of the new limits keep nothing out.
    private static func unenforced(_ was: JSONValue, _ now: JSONValue) -> [String] {
        let old = Set(UntypedLimits(ofArguments: was).limits.map(\.pointer))
        let new = UntypedLimits(ofArguments: now).limits.map(\.pointer).filter { !old.contains($0) }
        return new.map { $0.filter { $0 != "properties" }.joined(separator: ".") }
    }

    // MARK: Delegates and limits

    private mutating func compareDelegates(_ before: Bundle?, _ after: Bundle?) {
        let (old, new) = (Set(before?.delegates ?? []), Set(after?.delegates ?? []))
        for agent in new.subtracting(old).sorted() { gain(.delegate(agent)) }
        for agent in old.subtracting(new).sorted() { lose(.delegate(agent)) }
    }

    private mutating func compareLimits(_ was: BundleLimits, _ now: BundleLimits) {
        compare(.steps, was.run.steps.map(Double.init), now.run.steps.map(Double.init))
        compare(.tokens, was.run.tokens.map(Double.init), now.run.tokens.map(Double.init))
        compare(.costUSD, was.run.costUSD, now.run.costUSD)
        compare(.seconds, was.run.seconds.map(Double.init), now.run.seconds.map(Double.init))
        compare(.costUSDPerDay, was.costUSDPerDay, now.costUSDPerDay)
        compare(.runs, was.runs.map(Double.init), now.runs.map(Double.init))
    }

    private mutating func compare(_ limit: AuthorityChange.Limit, _ was: Double?, _ now: Double?) {
        guard was != now else { return }
        let isLess = now.map { $0 < was ?? .infinity } ?? false
        note(gained: !isLess, .limit(limit, .init(was: was, now: now)))
    }
}

extension BundleOperation {
    /// `amount at most 20`, `until 2029-12-31`: the limits of a new grant.
    fileprivate var limits: [String] {
        SchemaLimits.phrases(input.map(UntypedLimits.enforced)) + (expires.map { ["until \($0)"] } ?? [])
            + CallConditions.phrases(self)
    }
}

extension BundleTool {
    /// The server's URL or command.
    fileprivate var serverWords: String {
        guard let server else { return "no server" }
        guard server["mcp"]?.object?.count == 1 else { return server.text }
        if let url = server["mcp"]?["url"]?.string { return url }
        if let command = server["mcp"]?["command"]?.array?.map({ $0.string ?? $0.text }), !command.isEmpty {
            return "the command '\(command.joined(separator: " "))'"
        }
        return server.text
    }
}

extension Bundle {
    /// A bundle that was read back may name a tool twice; a compiled one never does.
    var toolsByName: [String: BundleTool] { Dictionary(tools.map { ($0.tool, $0) }) { first, _ in first } }
}
