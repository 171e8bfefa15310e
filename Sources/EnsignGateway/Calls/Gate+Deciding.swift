import EnsignModel
import EnsignPolicy
import EnsignSystem

/// From a call to whether it may be made.
extension Gate {
    /// The bundles that decide about a call.
    struct Grounds {
        var run: PreparedBundle
        var present: PreparedBundle
        var key: String
        /// Whether a refusal is only written down: both bundles say so.
        var observes: Bool { run.bundle.mode == .observe && present.bundle.mode == .observe }
    }

    /// What a session's key gets now.
    enum Standing {
        case live(PreparedBundle, entry: Int64)
        /// Nothing: its agent is stopped. By the entry, where that is known.
        case halted(entry: Int64?)
    }

    /// What a session's key gets now, of an agent that is not stopped.
    func present(_ agent: AgentID, key: String, for name: String) throws(Refusal) -> PreparedBundle {
        switch try standing(agent, key: key, for: name) {
        case .live(let bundle, _): return bundle
        case .halted: throw RefusalWords.halted(name)
        }
    }

    /// What a session's key gets now. Asked for at each call: what was live a moment ago decides nothing.
    ///
    /// - Parameter name: What is asked for, as whoever asked is told.
    private func standing(_ agent: AgentID, key: String, for name: String) throws(Refusal) -> Standing {
        do throws(LiveTrouble) {
            let live = try parts.live.ready()
            try live.checkPolicy()
            let (bundle, entry) = try live.present(agent, key: key)
            guard let bundle, let entry else { return .halted(entry: entry) }
            return .live(bundle, entry: entry)
        } catch {
            parts.say("\(agent): every call is refused: \(error)")
            throw RefusalWords.unreadable(name)
        }
    }

    private func bundle(_ digest: Digest, _ context: CallContext) throws(Refusal) -> PreparedBundle {
        do throws(LiveTrouble) { return try parts.live.ready().bundle(digest, isOld: true) } catch {
            parts.say("\(context.agent): the bundle of an open run cannot be read: \(error)")
            throw RefusalWords.unreadable(context.operation)
        }
    }

    /// Decides. The call is counted, whatever the answer.
    func rule(_ context: inout CallContext) throws(Refusal) -> Ruling {
        // Another thread or process may begin the same run meanwhile, or have forgotten it; then it is looked at again.
        for attempt in 0..<4 {
            let beginning = try begun(context, isRemembered: attempt == 0)
            let key = beginning?.key ?? context.key
            context.looked = .now
            let present: PreparedBundle
            let entry: Int64
            switch try standing(context.agent, key: key, for: context.operation) {
            case .live(let bundle, let number): (present, entry) = (bundle, number)
            case .halted(let entry): throw halted(&context, by: entry, in: beginning)
            }
            let run = try beginning.map { (beginning) throws(Refusal) in
                beginning.bundle == present.digest ? present : try bundle(beginning.bundle, context)
            }
            let grounds = Grounds(run: run ?? present, present: present, key: key)
            context.isDecided(by: grounds.run, present, of: entry)
            if let ruling = try count(&context, grounds, isBegun: beginning != nil) { return ruling }
        }
        throw RefusalWords.changed(context.operation)
    }

    /// The agent is stopped. What is known of the run and of the operation is on record all the same.
    private func halted(_ context: inout CallContext, by entry: Int64?, in beginning: RunBook.Beginning?) -> Refusal {
        let run = beginning.flatMap { try? parts.live.ready().bundle($0.bundle, isOld: true) }
        if let run, let named = Self.operation(context.call.name, Grounds(run: run, present: run, key: "")) {
            context.operation = "\(named.tool).\(named.name)"
            context.isGranted(by: Granted(named.tool, named.name, run: run, present: run))
        }
        context.isHalted(by: entry, run)
        return RefusalWords.halted(context.operation)
    }

    private func begun(_ context: CallContext, isRemembered: Bool) throws(Refusal) -> RunBook.Beginning? {
        do {
            return try parts.runs.beginning(of: context.run.name, context.agent, isRemembered: isRemembered)
        } catch {
            parts.say("runs cannot be read: \(error)")
            throw RefusalWords.unrecorded(context.operation)
        }
    }

    private func count(
        _ context: inout CallContext,
        _ grounds: Grounds,
        isBegun: Bool
    ) throws(Refusal) -> Ruling? {
        let named = Self.operation(context.call.name, grounds)
        if let named { context.operation = "\(named.tool).\(named.name)" }
        let call = CallPolicy.Call(
            tool: named?.tool ?? "",
            operation: named?.name ?? "",
            arguments: context.defect == nil ? context.call.arguments : nil
        )
        let granted = Granted(call.tool, call.operation, run: grounds.run, present: grounds.present)
        context.isGranted(by: granted)
        let conditions = granted.all.flatMap(\.after)
        let usage = try usage(context, grounds)
        let bundles = [grounds.run.bundle.limits, grounds.present.bundle.limits]
        let answer: RunBook.Answer<Result<Ruling, Refusal>>
        do {
            answer = try parts.runs.count(
                context.counting,
                beginning: RunBook.Beginning(bundle: grounds.run.digest, key: grounds.key),
                isBegun: isBegun,
                conditions: conditions,
                rates: Set(granted.all.compactMap { $0.rate?.period }),
                limits: bundles
            ) { progress in
                var progress = progress
                usage(&progress)
                let outcome = try judge(call, &context, grounds, granted, progress)
                guard case .success(var ruling) = outcome else {
                    if progress.isOver(bundles) { return (outcome, .over) }
                    return (outcome, progress.mayOpen(bundles, agentLimits) ? .refused : .turnedAway)
                }
                ruling.counted = Counted(progress: progress, conditions: Set(conditions))
                return (.success(ruling), ruling.asks ? .asks : .made)
            }
        } catch {
            answer = .counted(try uncounted(call, &context, grounds, granted, error))
        }
        switch answer {
        case .counted(let outcome): return try outcome.get()
        case .begunOtherwise: return nil
        case .asked(let run):
            context.belongs(to: run)
            return nil
        }
    }

    /// Where nothing can be counted, what only reads goes on: nothing that it says is lost, and nothing is changed.
    private func uncounted(
        _ call: CallPolicy.Call,
        _ context: inout CallContext,
        _ grounds: Grounds,
        _ granted: Granted,
        _ error: any Error
    ) throws(Refusal) -> Result<Ruling, Refusal> {
        parts.say("calls cannot be counted: \(error)")
        guard case .success(let ruling)? = try? judge(call, &context, grounds, granted, RunProgress()),
            ruling.onlyReads, ruling.approval == .none, ruling.wouldRefuse == nil
        else { throw RefusalWords.unrecorded(context.operation) }
        return .success(ruling)
    }

    /// Decides, and takes a place for a call that is made: a refusal for lack of room counts like any other.
    private func judge(
        _ call: CallPolicy.Call,
        _ context: inout CallContext,
        _ grounds: Grounds,
        _ granted: Granted,
        _ progress: RunProgress
    ) throws -> Result<Ruling, Refusal> {
        let outcome = try verdict(call, context, grounds, granted, progress)
        guard case .success = outcome, !takePlace(&context) else { return outcome }
        return .failure(RefusalWords.inFlight(parts.limits.callsInFlight, context.operation))
    }

    private func verdict(
        _ call: CallPolicy.Call,
        _ context: CallContext,
        _ grounds: Grounds,
        _ granted: Granted,
        _ progress: RunProgress
    ) throws -> Result<Ruling, Refusal> {
        let limits = agentLimits
        let circumstances = CallPolicy.Circumstances(today: now.date, progress: progress, limits: limits)
        let verdict = try CallPolicy.decide(call, run: grounds.run, present: grounds.present, circumstances)
        var ruling = Ruling(
            run: grounds.run,
            present: grounds.present,
            key: grounds.key,
            tool: call.tool,
            name: call.operation,
            granted: granted,
            approval: .none
        )
        if let defect = context.defect {
            // What comes before its arguments is told first. Nobody could send it, not even for an agent that is observed.
            guard case .refused(let refusal) = verdict, !grounds.observes else { return .failure(defect) }
            return .failure(RefusalWords.refusal(refusal, of: call, calledAs: context.call.name))
        }
        switch verdict {
        case .allowed: return .success(ruling)
        case .needsApproval(let approval):
            ruling.approval = approval
            return .success(ruling)
        case .refused(let refusal):
            let words = RefusalWords.refusal(refusal, of: call, calledAs: context.call.name)
            guard grounds.observes else { return .failure(words) }
            // What the operator limits holds whoever is observed.
            if let own = Self.ownLimit(progress, limits, of: call, calledAs: context.operation) { return .failure(own) }
            ruling.wouldRefuse = words
            if ruling.tool.isEmpty {
                guard let (tool, name) = ungranted(context.call.name) else { return .failure(words) }
                (ruling.tool, ruling.name) = (tool, name)
                ruling.granted = Granted(tool, name, run: grounds.run, present: grounds.present)
            }
            return .success(ruling)
        }
    }

    private var agentLimits: AgentLimits {
        AgentLimits(
            repeatedCalls: parts.limits.repeatedCalls,
            refusals: parts.limits.refusals,
            stepsPerMinute: parts.limits.stepsPerMinute,
            runsPerHour: parts.limits.runsPerHour
        )
    }

    /// Decides again about a call that has waited, by what its route gives now and by what was counted for it.
    func decidedAgain(_ ruling: Ruling, _ context: inout CallContext) throws(Refusal) -> Ruling {
        context.looked = .now
        let standing = try standing(context.agent, key: ruling.key, for: context.operation)
        guard case .live(let present, let entry) = standing else {
            if case .halted(let entry) = standing { context.isHalted(by: entry, nil) }
            throw RefusalWords.halted(context.operation)
        }
        context.isDecided(by: ruling.run, present, of: entry)
        let grounds = Grounds(run: ruling.run, present: present, key: ruling.key)
        let granted = Granted(ruling.tool, ruling.name, run: ruling.run, present: present)
        context.isGranted(by: granted)
        let isKnown = present.digest == ruling.present.digest || ruling.counted?.covers(granted) ?? false
        let call = CallPolicy.Call(tool: ruling.tool, operation: ruling.name, arguments: context.call.arguments)
        let progress = ruling.counted?.progress ?? RunProgress()
        // What nobody has looked up decides when the call comes again.
        guard isKnown || grounds.observes, let outcome = try? verdict(call, context, grounds, granted, progress) else {
            throw RefusalWords.changed(context.operation)
        }
        var again = try outcome.get()
        again.counted = ruling.counted
        return again
    }

    private static func ownLimit(
        _ progress: RunProgress,
        _ limits: AgentLimits,
        of call: CallPolicy.Call,
        calledAs name: String
    ) -> Refusal? {
        if let loop = progress.looping(limits) {
            return RefusalWords.refusal(.looping(loop), of: call, calledAs: name)
        }
        return progress.exhausted(limits).map { RefusalWords.refusal(.exhausted($0), of: call, calledAs: name) }
    }

    // MARK: Names

    /// Which granted operation a name means. The run's bundle comes first: it is the one that was listed.
    static func operation(_ name: String, _ grounds: Grounds) -> ToolNames.Operation? {
        for names in [grounds.run.names, grounds.present.names] {
            if case .operation(let operation) = names.resolve(name) { return operation }
        }
        return nil
    }

    /// The tool and operation of a name that is not granted, if the operator has a server for it.
    private func ungranted(_ name: String) -> (tool: String, name: String)? {
        for separator in ["__", ".", "/"] {
            guard let range = name.firstRange(of: separator) else { continue }
            let (tool, operation) = (String(name[..<range.lowerBound]), String(name[range.upperBound...]))
            guard OperationName.isValid(operation), case .success = parts.upstreams.reference(ofUngranted: tool) else {
                continue
            }
            return (tool, operation)
        }
        return nil
    }

    // MARK: Use

    /// What is known of tokens and money, to be put beside what is counted.
    private func usage(
        _ context: CallContext,
        _ grounds: Grounds
    ) throws(Refusal) -> (inout RunProgress) -> Void {
        guard let source = parts.usage else { return { _ in } }
        let policy: GatewayPolicy?
        do throws(LiveTrouble) { policy = try parts.live.ready().policy() } catch {
            parts.say("\(context.agent): every call is refused: \(error)")
            throw RefusalWords.unreadable(context.operation)
        }
        let usage = source.usage(of: context.agent, run: context.run.name, policy: policy, now: now)
        return { progress in
            progress.tokens = usage.tokens
            progress.costUSD = usage.costUSD
            progress.usageTrouble = usage.trouble
            progress.agentCostUSD = usage.agentCostUSD
            progress.team = RunProgress.Spending(
                costUSD: usage.teamCostUSD,
                limit: policy?.teams[context.agent.team]?.costUSDPerDay
            )
            progress.environment = RunProgress.Spending(
                costUSD: usage.environmentCostUSD,
                limit: policy?.costUSDPerDay
            )
        }
    }
}
