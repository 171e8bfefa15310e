import EnsignModel
import EnsignPolicy

/// What a span says about a call. Several spans may report one call: each part of it counts once.
struct CallFacts: OptionSet, Sendable, Hashable {
    let rawValue: UInt8

    /// That there was one.
    static let made = CallFacts(rawValue: 1)
    /// That it failed or was denied.
    static let trouble = CallFacts(rawValue: 2)
    static let denied = CallFacts(rawValue: 4)
    /// With which arguments.
    static let arguments = CallFacts(rawValue: 8)
    /// Of what.
    static let name = CallFacts(rawValue: 16)

    /// What is counted in a run's samples.
    static let counted: CallFacts = [.made, .trouble, .denied]
    /// What is reported to the kill switch.
    static let told: CallFacts = [.denied, .arguments, .name]
}

/// An `execute_tool` span of an open trace.
///
/// Frameworks, protocol libraries, gateways and servers each write a span for one and the same call, one inside the
/// other. Such spans are *views* of it. Of each fact a call has as many as its innermost views say, or one if only an outer
/// one says it: so two attempts inside one call are two, and nobody hides calls by putting a span around them.
struct CallNode: Sendable {
    var tool: String
    /// Its own, else those of a view inside it.
    var arguments: UInt64?
    /// Whether a library of the Model Context Protocol wrote it: the name is then the server's.
    var isProtocol: Bool
    /// Whom it names.
    var claimant: AgentID?
    /// What it says itself and no view inside it.
    var said: CallFacts
    /// What it or a view inside it says.
    var held: CallFacts
    /// To whom it was reported; nil while that is not known.
    var told: AgentID?
    /// The call around it, of which it is a view.
    var outer: SpanID?
    /// How many views are nested, from this one inwards: 1 for an innermost one.
    var height = 1

    /// Views of one call within one another: the framework's, its protocol library's, a gateway's and the server's.
    /// More are calls of their own, so that no chain of spans hides its parts.
    static let layers = 4

    init(_ call: ToolCall, isProtocol: Bool, claimant: AgentID?, hasFailed: Bool) {
        tool = call.tool
        arguments = call.arguments
        self.isProtocol = isProtocol
        self.claimant = claimant
        // What has no name cannot be held against what was granted.
        var facts: CallFacts = tool.isEmpty ? .made : [.made, .name]
        if call.isDenied || hasFailed { facts.insert(.trouble) }
        if call.isDenied { facts.insert(.denied) }
        if call.arguments != nil { facts.insert(.arguments) }
        (said, held) = (facts, facts)
    }

    /// Whether both may be of one agent's run: a name that one of them lacks may be the other's.
    func mayBelong(with other: CallNode) -> Bool {
        claimant == other.claimant || claimant == nil || other.claimant == nil
    }

    /// Whether a call inside another one may be the same one, by their names and arguments.
    enum Likeness: Sendable {
        case different
        /// Their names are the same in words, or one is the end of the other.
        case same
        /// It has a server's own name for what the call around it asked of it.
        case alias
    }

    func likeness(to outer: CallNode) -> Likeness {
        if ToolNames.mayBeSame(tool, outer.tool) { return .same }
        guard isProtocol, !tool.isEmpty else { return .different }
        // Other arguments are another call.
        if let own = arguments, let others = outer.arguments, own != others { return .different }
        return .alias
    }

    /// Whether the call around it answers for its name.
    func isNamed(by outer: CallNode) -> Bool { isProtocol || ToolNames.isEnd(tool, of: outer.tool) }

    /// What both say of the same call.
    func shares(_ facts: CallFacts, with outer: CallNode) -> CallFacts {
        var shared = outer.said.intersection(facts)
        if shared.contains(.arguments), arguments != outer.arguments { shared.remove(.arguments) }
        if shared.contains(.name), !ToolNames.areSame(tool, outer.tool) { shared.remove(.name) }
        return shared
    }
}
