import EnsignModel
import EnsignPlanner

/// What a save changes, in the words of a plan.
struct DevelopedChange {
    /// One sentence for each agent, and one for what all share.
    let sentences: [String]
    /// Whether an agent may do more than before.
    let gains: Bool

    /// The most things that are said of one agent.
    private static let most = 6

    init(from before: DevelopedState, to after: DevelopedState) throws {
        var sentences: [String] = []
        var gains = false
        for agent in Set(before.agents.keys).union(after.agents.keys).sorted() {
            let (was, now) = (before.agents[agent], after.agents[agent])
            guard was != now else { continue }
            let difference = BundleDifference(before: try was.flatMap(Self.bundle), after: try now.flatMap(Self.bundle))
            gains = gains || difference.authority.gains
            sentences.append("\(agent) \(Self.version(was, now)): \(Self.words(was, now, difference))")
        }
        if before.policy != after.policy { sentences.append("policy.json: approvers, limits or prices changed") }
        (self.sentences, self.gains) = (sentences, gains)
    }

    /// Of an agent that is stopped nothing is live.
    private static func bundle(_ compiled: CompiledBundle) throws -> Bundle? {
        compiled.halted ? nil : try compiled.bundle
    }

    private static func version(_ was: CompiledBundle?, _ now: CompiledBundle?) -> String {
        let (old, new) = (was?.version.description, now?.version.description)
        guard let old, let new, old != new else { return new ?? old ?? "" }
        return "\(old) -> \(new)"
    }

    private static func words(_ was: CompiledBundle?, _ now: CompiledBundle?, _ difference: BundleDifference) -> String
    {
        guard let now else { return "no longer deployed" }
        if now.halted { return "halted" }
        var words = difference.authority.lost + difference.authority.gained
        words += difference.lines.map { "\($0.field): \($0.text)" } + difference.texts.map { "\($0.field) changed" }
        if words.isEmpty { words = was == nil ? ["may call nothing"] : ["the same in other words"] }
        let more = words.count > most ? ["and \(words.count - most) more"] : []
        return (words.prefix(most) + more).joined(separator: "; ").onOneLine(utf8: 2_000)
    }
}
