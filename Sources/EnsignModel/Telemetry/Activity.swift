/// Something that an agent did, as soon as it is known who did it: what the kill switch looks at.
package struct Activity: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        /// A call of a tool.
        case call(ToolCall)
        /// Tokens that were paid for, in US dollars.
        case spent(Double)
        /// A run that has made so many calls by now.
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
    /// What the name means among what the agent is granted, so that two spellings of it are one; nil where that is not
    /// known, or nothing.
    package var meaning: String?
    /// False where the name is only another one for a call that is judged by its own.
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
