import EnsignCommandLine
import EnsignGit
import EnsignJudge
import EnsignModel
import EnsignPlanner
import EnsignQueries

/// Renders a plan as text, and as Markdown for a pull request.
struct PlanRenderer {
    var plan: Plan
    /// What comes first; a comparison of two sides is not a plan.
    var title: String?
    /// The most agents that the text goes into; all are counted.
    var limit = Int.max
    var paint: (String, Console.Style) -> String = { text, _ in text }

    // MARK: Text

    func text() throws -> String {
        var text =
            title.map { paint($0, .bold) + "\n" }
            ?? "\(paint(plan.environment, .bold)): plan from \(source) against \(against)\n"
        if plan.historyRewritten {
            text +=
                paint("  history was rewritten: the recorded commit is no longer part of \(plan.source.name)", .yellow)
                + "\n"
        }
        text += guards
        let groups = try groups()
        // Where not all fit, what gains authority comes first.
        let sorted = groups.count > limit ? groups.filter(\.gains) + groups.filter { !$0.gains } : groups
        for group in sorted.prefix(limit) { text += "\n" + group.text(paint) }
        text += more(sorted.dropFirst(limit))
        for held in plan.waiting.prefix(limit) { text += "\n" + (try self.text(held)) }
        for agent in plan.kept {
            text += "\n  \(paint("=", .dim)) \(agent)  no longer declared, kept: prune is off\n"
        }
        for leaving in plan.leaving where !plan.changes.contains(where: { $0.agent == leaving.agent }) {
            text +=
                "\n  \(paint("=", .dim)) \(leaving.agent)  no longer declared, its removal waits: \(leaving.sentence)\n"
        }
        text += "\n\(title == nil ? summary : differences)\n"
        if let observing = plan.observing { text += "\(observing.sentence)\n" }
        if let refusal = plan.refusal {
            text += paint("Refused: \(refusal.message).", .red) + " Removing on purpose? Use --allow-prune.\n"
        }
        for warning in plan.warnings { text += paint("Warning: \(warning.onOneLine)", .yellow) + "\n" }
        if !plan.declaredOnly.isEmpty {
            text += "Declared only, not enforced yet: \(plan.declaredOnly.joined(separator: ", "))\n"
        }
        return text
    }

    /// Agents to which the very same happens: one change of a role may be eight hundred of them.
    private struct Group {
        var first: PlannedChange
        var agents: [AgentID]
        /// The sign and what happens, around the name.
        var symbol: String
        var planned: String
        var digests: String?
        var body: String

        /// Whether an agent that is live may do more.
        var gains: Bool { first.all.contains { $0.kind == .widening && $0.action != .create } }

        /// The most agents that are named of a group.
        private static let maxNamed = 5

        func text(_ paint: (String, Console.Style) -> String) -> String {
            guard agents.count > 1 else {
                let line = digests.map { "      \(paint($0, .dim))\n" } ?? ""
                return "  \(symbol) \(paint(agents[0].description, .bold))  \(planned)\n\(line)\(body)"
            }
            let named = agents.prefix(Self.maxNamed).map(\.description).joined(separator: ", ")
            let more = agents.count > Self.maxNamed ? " and \(agents.count - Self.maxNamed) more" : ""
            return
                "  \(symbol) \(paint(counted(agents.count, "agent"), .bold))  \(planned)\n      \(named)\(more)\n\(body)"
        }
    }

    /// What is left out, counted; whoever gains authority is named all the same.
    private func more(_ groups: ArraySlice<Group>) -> String {
        let count = groups.reduce(0) { $0 + $1.agents.count }
        guard count > 0 else { return "" }
        let gaining = groups.filter(\.gains).flatMap(\.agents)
        var text = "\n  ... and \(count) more: 'ensign plan --env \(plan.environment)' shows them all\n"
        if !gaining.isEmpty {
            let named = gaining.prefix(Self.maxNamed).map(\.description).joined(separator: ", ")
            let rest = gaining.count > Self.maxNamed ? " and \(gaining.count - Self.maxNamed) more" : ""
            text += "      authority is gained too by \(named)\(rest)\n"
        }
        return text
    }

    /// The most agents that are named although what happens to them is left out.
    private static let maxNamed = 200

    /// The changes in their order; equal ones where the first of them stands.
    private func groups() throws -> [Group] {
        var groups: [Group] = []
        var places: [String: Int] = [:]
        for planned in plan.happening {
            let sentence = ChangeSentence(planned.change).planned
            let body = try text(planned)
            let key = "\(planned.change.action.rawValue)\n\(sentence)\n\(body)"
            if let place = places[key], !body.isEmpty {
                groups[place].agents.append(planned.agent)
            } else {
                places[key] = groups.count
                groups.append(
                    Group(
                        first: planned,
                        agents: [planned.agent],
                        symbol: symbol(planned.change.action),
                        planned: sentence,
                        digests: digests(planned.change.from, planned.change.to),
                        body: body
                    )
                )
            }
        }
        return groups
    }

    /// What is below the line with the agent's name.
    private func text(_ planned: PlannedChange) throws -> String {
        var text = further(planned).map { "      \($0)\n" }.joined()
        for note in planned.notes { text += "      \(paint(note.onOneLine, .yellow))\n" }
        text += section(stableTitle(planned), stableLines(planned), "-", .green)
        text += try self.text(try planned.difference)
        for sentence in planned.power?.sentences ?? [] { text += "      canary: \(sentence.onOneLine)\n" }
        for sentence in planned.observation?.sentences ?? [] {
            text += "      \(paint(sentence.onOneLine, .yellow))\n"
        }
        if !planned.declaredOnly.isEmpty {
            text += "      declared only, not enforced yet: \(planned.declaredOnly.joined(separator: ", "))\n"
        }
        return text
    }

    /// What else happens to the agent in the same run; what the stable version loses has a section of its own.
    private func further(_ planned: PlannedChange) -> [String] {
        planned.further.filter { change in
            stableLines(planned).isEmpty || change.action != .update || change.to?.digest != planned.recompiled?.digest
        }.map { "then \(ChangeSentence($0).planned.onOneLine)" }
    }

    /// The stable version changes beside the one that git wants: all that it may do less, or more.
    private func stableTitle(_ planned: PlannedChange) -> String {
        "the stable version \(planned.recompiled?.version.description ?? "") at once"
    }

    private func stableLines(_ planned: PlannedChange) -> [String] {
        guard let authority = planned.stableDifference?.authority else { return [] }
        // Where git's own version is the one that changes, its difference says it.
        guard planned.recompiled?.digest != planned.bundle?.digest else { return [] }
        return authority.gained + authority.lost
    }

    /// What git wants and does not get: what somebody who lifts the hold lets through.
    private func text(_ held: HeldAgent) throws -> String {
        guard let difference = held.difference else { return "" }
        var text = "  \(paint("=", .yellow)) \(paint(held.agent.description, .bold))  \(title(held, difference))\n"
        if let digests = digests(held.stable, held.wanted) { text += "      \(paint(digests, .dim))\n" }
        return text + (try self.text(difference))
    }

    private func title(_ held: HeldAgent, _ difference: BundleDifference) -> String {
        let because = held.because.map { " (\($0.onOneLine))" } ?? ""
        let versions = ChangeSentence.versions(held.stable, held.wanted)
        return "\(versions)  [\(difference.kind.rawValue)]  \(held.reason.lifting)\(because)"
    }

    private func text(_ difference: BundleDifference) throws -> String {
        var text = ""
        for line in difference.lines { text += "      \(line.field): \(line.text.onOneLine)\n" }
        for changed in difference.texts {
            text += "      \(changed.field):\n"
            for line in try TextDiff.unified(changed.before, changed.after).split(separator: "\n") {
                let style: Console.Style? = line.hasPrefix("+") ? .green : line.hasPrefix("-") ? .red : nil
                let shown = String(line).onOneLine
                text += "        \(style.map { paint(shown, $0) } ?? shown)\n"
            }
        }
        text += section("authority gained", difference.authority.gained, "+", .yellow)
        text += section("authority lost", difference.authority.lost, "-", .green)
        return text
    }

    private func section(_ title: String, _ lines: [String], _ mark: String, _ style: Console.Style) -> String {
        guard !lines.isEmpty else { return "" }
        return "      \(title):\n" + lines.map { "        \(paint("\(mark) \($0.onOneLine)", style))\n" }.joined()
    }

    /// `Plan: 1 to create, 2 to update, 0 to delete, 4 unchanged.`
    var summary: String {
        let counts = plan.counts
        var parts = ["\(counts["create"] ?? 0) to create", "\(counts["update"] ?? 0) to update"]
        for (name, words) in [
            ("weight", "through a canary"), ("promote", "to complete"), ("rollback", "to roll back"),
            ("halt", "to halt"), ("resume", "to resume"),
        ] {
            if let count = counts[name] { parts.append("\(count) \(words)") }
        }
        parts += ["\(counts["delete"] ?? 0) to delete", "\(plan.staying) unchanged"]
        let held = plan.waiting.isEmpty ? "" : " (\(plan.waiting.count) of them held)"
        return "Plan: \(([parts.joined(separator: ", ") + held] + guardCounts).joined(separator: ", "))."
    }

    private var differences: String {
        let agents = counted(plan.changes.count, "agent differs", "agents differ")
        let parts = (plan.isEmpty ? [] : [agents]) + guardCounts
        return parts.isEmpty ? "No differences." : parts.joined(separator: ", ") + "."
    }

    private var source: String {
        plan.source.commit.map { "\(plan.source.name)@sha1:\($0.short)" } ?? plan.source.name
    }

    private var against: String {
        plan.entry.map { "entry \($0.sequence) (\($0.commit.short))" } ?? plan.basis
            ?? "nothing: there is no ledger yet"
    }

    private func symbol(_ action: Change.Action) -> String {
        switch action {
        case .create: paint("+", .green)
        case .delete: paint("-", .red)
        case .rollback: paint("<", .yellow)
        case .halt: paint("!", .red)
        case .resume: paint(">", .green)
        case .update, .weight, .promote, .repair, .quarantine: paint("~", .yellow)
        }
    }

    private func digests(_ from: Change.Side?, _ to: Change.Side?) -> String? {
        switch (from, to) {
        case (nil, let to?): to.digest.short
        case (let from?, nil): from.digest.short
        case (let from?, let to?): from.digest == to.digest ? nil : "\(from.digest.short) -> \(to.digest.short)"
        case (nil, nil): nil
        }
    }

    // MARK: Markdown

    func markdown() throws -> String {
        var text =
            title.map { "### \($0)\n\n\(differences)\n" }
            ?? "### Plan for `\(plan.environment)`\n\nFrom `\(source)`, against \(against).\n\n\(summary)\n"
        if plan.historyRewritten {
            text += "\n**History was rewritten**: the recorded commit is no longer part of it.\n"
        }
        if let observing = plan.observing { text += "\n\(observing.sentence)\n" }
        for warning in plan.warnings { text += "\n**Warning**: \(warning.inMarkdown)\n" }
        if let refusal = plan.refusal { text += "\n**Refused**: \(refusal.message).\n" }
        for (direction, lines) in guardLines {
            text += list("Guards \(guardTitle(direction)) (\(direction.kind.rawValue))", lines)
        }
        for group in try groups() {
            let planned = group.first
            let title = ChangeSentence(planned.change).planned.withoutBrackets
            if group.agents.count == 1 {
                text += "\n#### `\(planned.agent)`: \(title)\n\n"
                if let digests = digests(planned.change.from, planned.change.to) { text += "`\(digests)`\n\n" }
            } else {
                text += "\n#### \(counted(group.agents.count, "agent")): \(title)\n\n"
                text += group.agents.map { "`\($0)`" }.joined(separator: ", ") + "\n\n"
            }
            for line in further(planned) {
                text += "\(line.withoutBrackets.inMarkdown)\n\n"
            }
            for note in planned.notes { text += "\(note.inMarkdown)\n\n" }
            text += list(stableTitle(planned), stableLines(planned))
            text += try markdown(try planned.difference)
            text += list("Canary", planned.power?.sentences ?? [])
            text += list("Observed", planned.observation?.sentences ?? [])
            if !planned.declaredOnly.isEmpty {
                text += "\nDeclared only, not enforced yet: \(planned.declaredOnly.joined(separator: ", "))\n"
            }
        }
        for held in plan.waiting {
            guard let difference = held.difference else { continue }
            let title = title(held, difference).withoutBrackets
            text += "\n#### `\(held.agent)`: \(title)\n\n"
            if let digests = digests(held.stable, held.wanted) { text += "`\(digests)`\n\n" }
            text += try markdown(difference)
        }
        return text
    }

    private func markdown(_ difference: BundleDifference) throws -> String {
        var text = ""
        for line in difference.lines { text += "- `\(line.field)`: \(line.text.inMarkdown)\n" }
        text += list("Authority gained", difference.authority.gained)
        text += list("Authority lost", difference.authority.lost)
        for changed in difference.texts {
            let diff = try TextDiff.unified(changed.before, changed.after).onItsLines
            var fence = "```"
            while diff.contains(fence) { fence += "`" }
            let title = changed.field == "instructions" ? "Instructions" : "`\(changed.field)`"
            text += "\n\(title):\n\n\(fence)diff\n\(diff)\(diff.hasSuffix("\n") ? "" : "\n")\(fence)\n"
        }
        return text
    }

    private func list(_ title: String, _ lines: [String]) -> String {
        guard !lines.isEmpty else { return "" }
        return "\n**\(title)**\n\n" + lines.map { "- \($0.inMarkdown)\n" }.joined()
    }
}

extension String {
    /// Markdown takes brackets for a link.
    fileprivate var withoutBrackets: String { replacing("[", with: "").replacing("]", with: "") }
}
