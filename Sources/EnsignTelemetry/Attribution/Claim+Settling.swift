import EnsignModel

extension Claim {
    /// Baggage says who asked. Where the process says that it is another agent, what it does is that one's.
    mutating func settleHost(_ context: Attribution.Context) {
        guard let host, let owner = bundle.flatMap({ context.owners[$0] }) else { return }
        let process = context.owners[host]
        guard let own = process ?? AgentID(host), own != owner else { return }
        bundle = process == nil ? nil : host
        named = own.description
        source = .resource
    }
}

extension SpanEvent {
    var key: TraceKey { TraceKey(id: trace, folder: TraceKey.folder(folder)) }

    var spanKey: SpanKey { SpanKey(trace: key, span: span) }

    /// What a framework calls an agent that declares this name. Only the first span of a trace can be meant so: inside, the
    /// same word may be a part of anybody's agent.
    mutating func settleName(_ context: Attribution.Context) {
        guard operation == .run, parent == nil, claim.bundle == nil, claim.named == nil, let name = claim.agent,
            AgentID(name) == nil, let agent = context.aliases[name]
        else { return }
        claim.named = agent.description
    }

    /// Whether it is a run if nothing of its agent is around it, although it does not say that an agent was asked: it
    /// carries a bundle, and is not one end of a connection. A resource's bundle is on everything that a process does, so
    /// there only what is said to be a workflow counts.
    func isWeakRun(_ context: Attribution.Context) -> Bool {
        guard operation.isAround, let bundle = claim.bundle, context.owners[bundle] != nil else { return false }
        return operation == .workflow || claim.source == .span && !isPassive
    }
}

extension SpanEvent.Operation {
    /// Whether it is around what agents do, and nothing by itself.
    var isAround: Bool {
        switch self {
        case .workflow, .other: true
        case .run, .call, .inference: false
        }
    }
}
