import EnsignModel

/// Evaluations: whose they are.
extension Attribution {
    mutating func add(
        _ event: EvaluationEvent,
        at now: Moment,
        _ context: Context,
        _ output: inout Output
    ) {
        guard event.environments.allSatisfy({ $0 == environment }) else {
            output.rejections.add(.otherEnvironment)
            return
        }
        var event = event
        event.claim.settleHost(context)
        if let refusal = refusal(of: event, context) {
            output.rejections.add(refusal)
            return
        }
        let key = event.trace.map { TraceKey(id: $0, folder: TraceKey.folder(event.folder)) }
        // A record that names agent and bundle itself needs no trace.
        if let agent = agent(event.claim, context), event.claim.bundle != nil || event.claim.version != nil {
            guard isNew(event.evaluation, key, event.span, &output),
                let time = plausible(event.evaluation.time, at: now, &output)
            else { return }
            switch resolve(event.claim, agent, context) {
            case .success(let target):
                output.samples.append(sample(event.evaluation, agent, target, time: time, of: nil))
            case .failure(let reason):
                output.rejections.add(reason.reason)
            }
            return
        }
        guard let key, let span = event.span else {
            output.rejections.add(.orphan)
            return
        }
        open(key, share: 0, at: now, &output)
        add(event.evaluation, key, span, at: now, &output)
    }

    mutating func add(
        _ evaluation: Evaluation,
        _ key: TraceKey,
        _ span: SpanID,
        at now: Moment,
        _ output: inout Output
    ) {
        guard isNew(evaluation, key, span, &output),
            let time = plausible(evaluation.time, at: now, &output)
        else { return }
        var evaluation = evaluation
        evaluation.time = time
        var run: Run?
        var isEvicted = false
        traces.change(key) { trace in
            let root = trace.root(of: span)
            if let known = trace.groups[root]?.run {
                run = known
            } else {
                isEvicted = trace.groups[root]?.evaluations.count ?? 0 >= Group.evaluationLimit
                if !isEvicted { trace.groups[root, default: Group()].evaluations.append(evaluation) }
            }
        }
        if isEvicted { output.rejections.add(.evicted) }
        if let run { tell(evaluation, run, &output) }
    }

    func tell(_ evaluated: (run: Run, evaluations: [Evaluation])?, _ output: inout Output) {
        guard let evaluated else { return }
        for evaluation in evaluated.evaluations { tell(evaluation, evaluated.run, &output) }
    }

    func tell(_ evaluation: Evaluation, _ run: Run, _ output: inout Output) {
        guard let agent = run.agent, let target = run.target else {
            output.rejections.add(.orphan)
            return
        }
        output.samples.append(sample(evaluation, agent, target, time: evaluation.time, of: run))
    }

    private func sample(
        _ evaluation: Evaluation,
        _ agent: AgentID,
        _ target: Digest,
        time: Moment,
        of run: Run?
    ) -> Sample {
        Sample(
            agent: agent,
            environment: environment,
            bundle: target,
            metric: .evaluation(evaluation.name),
            value: evaluation.score,
            occurred: evaluation.hasPassed,
            time: time,
            started: run?.start ?? time,
            session: run?.session
        )
    }

    private mutating func isNew(
        _ evaluation: Evaluation,
        _ key: TraceKey?,
        _ span: SpanID?,
        _ output: inout Output
    ) -> Bool {
        // Without a trace, equal records may be two.
        guard let key else { return true }
        var kind = StableHash()
        kind.add(evaluation.name.utf8)
        kind.add(UInt64(bitPattern: evaluation.time.nanoseconds))
        kind.add(evaluation.score.bitPattern)
        guard seen.insert(SeenWindow.key(key.id, span ?? 0, kind.value, folder: key.folder)) else {
            output.rejections.add(.duplicate)
            return false
        }
        return true
    }

    /// The time of an evaluation, not after the present; nil if it is too far off.
    private func plausible(_ time: Moment, at now: Moment, _ output: inout Output) -> Moment? {
        if time.nanoseconds <= 0 { return now }
        if time > now.advanced(milliseconds: limits.skewMilliseconds) {
            output.rejections.add(.future)
            return nil
        }
        if time < now.advanced(milliseconds: -limits.oldestMilliseconds) {
            output.rejections.add(.stale)
            return nil
        }
        return min(time, now)
    }
}
