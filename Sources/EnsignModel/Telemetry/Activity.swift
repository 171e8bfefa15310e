/// Something that an agent did, as soon as it is known who did it: the kill switch's input.
package struct Activity: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        /// A call of a tool.
        case call(ToolCall)
        /// Tokens that were paid for, in US dollars.
        case spent(Double)
        /// A run has made this many calls so far.
        case steps(Int64)
        /// A run ended.
        case ran
    }

    package var agent: AgentID
    /// Nil while it is not known.
    package var bundle: Digest?
    package var kind: Kind
    /// By the agent's clock, but never after the moment at which it was read.
    package var time: Moment

    package init(agent: AgentID, bundle: Digest?, kind: Kind, time: Moment) {
        self.agent = agent
        self.bundle = bundle
        self.kind = kind
        self.time = time
    }
}

/// A call of a tool by an agent.
package struct ToolCall: Sendable, Hashable {
    /// As the runtime wrote it in `gen_ai.tool.name`; see ``ToolNames``.
    package var tool: String
    /// The name's meaning among the granted operations, so that two spellings of one count as the same; nil if it is
    /// unknown or has none.
    package var meaning: String?
    /// False if this is only a second name of a call that is judged under its own.
    package var isNamed = true
    /// A digest of the arguments, equal for equal arguments (their canonical JSON, RFC 8785); nil if they were not recorded.
    package var arguments: UInt64?
    package var isDenied: Bool

    package init(tool: String, arguments: UInt64?, isDenied: Bool) {
        self.tool = tool
        self.arguments = arguments
        self.isDenied = isDenied
    }
}
