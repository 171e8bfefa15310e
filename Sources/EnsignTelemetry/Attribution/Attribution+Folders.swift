import EnsignModel

/// Folders of agents (docs/telemetry.md, "A folder for an agent").
extension Attribution {
    /// Finds what a span may say, by the folder that it comes from. In an agent's own folder, calls and inferences that
    /// name nobody are that agent's.
    ///
    /// - Returns: Why it speaks for nobody; nil if it may speak.
    mutating func admit(_ event: inout SpanEvent, _ context: Context) -> Rejection? {
        if isContradiction(event.claim, context) { return .contradiction }
        guard let owner = event.folder else { return refusal(of: event.claimant, context) }
        if let claimant = event.claimant { return claimant == owner ? nil : .foreignAgent }
        switch event.operation {
        case .call, .inference: (event.claim.agent, event.claimant) = (owner.description, owner)
        case .run, .workflow, .other: break
        }
        return nil
    }

    /// The same for an evaluation: one that names nobody is of a run in its own folder.
    mutating func refusal(of event: EvaluationEvent, _ context: Context) -> Rejection? {
        if isContradiction(event.claim, context) { return .contradiction }
        let claimant = claimant(event.claim, context)
        guard let owner = event.folder else { return refusal(of: claimant, context) }
        return claimant == nil || claimant == owner ? nil : .foreignAgent
    }

    private func refusal(of claimant: AgentID?, _ context: Context) -> Rejection? {
        claimant.map(context.bound.contains) == true ? .boundAgent : nil
    }

    /// Takes a span that speaks for nobody: it is still between others. A run from elsewhere hides what is below it, as
    /// a stranger's run does.
    mutating func refuse(
        _ event: SpanEvent,
        _ time: SpanTime,
        _ context: Context,
        _ output: inout Output
    ) {
        let isCall = if case .call = event.operation { true } else { false }
        guard event.operation == .run, event.folder == nil else {
            let parent = event.parent ?? 0
            link(
                event,
                as: .init(parent: parent, isBarrier: !isCall && !event.operation.isAround),
                time,
                context,
                &output
            )
            return
        }
        var arrival = OpenTrace.Arrival()
        traces.change(event.key) { trace in
            guard trace.links[event.span] == nil, trace.groups[event.span]?.run == nil else { return }
            var group = trace.groups[event.span] ?? Group()
            group.run = Run(
                parent: event.parent ?? 0,
                hasSucceeded: true,
                start: time.end,
                end: time.end,
                since: time.read
            )
            (group.waiting, group.evaluations, group.tops, group.isSettled) = ([], [], [], true)
            trace.groups[event.span] = group
            arrival = trace.arrived(event.span)
        }
        take(arrival, in: event.key, at: time.read, &output)
    }
}
