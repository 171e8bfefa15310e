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
    /// As the runtime wrote it in `gen_ai.tool.name`; see ``Bundle/grants(toolName:)``.
    package var tool: String
    /// A digest of the arguments, equal for equal arguments (their canonical JSON, RFC 8785); nil if they were not recorded.
    package var arguments: UInt64?
    package var isDenied: Bool

    package init(tool: String, arguments: UInt64?, isDenied: Bool) {
        self.tool = tool
        self.arguments = arguments
        self.isDenied = isDenied
    }
}

extension Bundle {
    /// Whether a call by this name is of an operation that the bundle grants.
    ///
    /// Runtimes name a tool by `<tool>__<operation>`, as the client library does, by `<tool>.<operation>` or
    /// `<tool>/<operation>`, or by one of the two alone.
    package func grants(toolName name: String) -> Bool {
        for separator in ["__", ".", "/"] {
            if let (tool, operation) = name.split(onceAt: separator) {
                return self.operation(tool, operation) != nil
            }
        }
        return tools.contains { !$0.operations.isEmpty && ($0.tool == name || $0.operations[name] != nil) }
    }
}

extension String {
    /// The parts before and behind the first place where a separator stands.
    fileprivate func split(onceAt separator: String) -> (String, String)? {
        let text = Array(utf8)
        let separator = Array(separator.utf8)
        guard text.count >= separator.count else { return nil }
        for start in 0...(text.count - separator.count)
        where text[start..<(start + separator.count)].elementsEqual(separator) {
            return (
                String(decoding: text[..<start], as: UTF8.self),
                String(decoding: text[(start + separator.count)...], as: UTF8.self)
            )
        }
        return nil
    }
}
