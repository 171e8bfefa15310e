import EnsignModel
import EnsignPolicy

/// From a call that needs somebody's word to whether it has it.
extension Gate {
    /// Asks people where they are needed.
    ///
    /// - Returns: The approval that is to be taken before the call is sent; nil where none is needed.
    func approve(
        _ ruling: inout Ruling,
        _ context: CallContext
    ) throws(Refusal) -> (id: String, by: [String])? {
        guard ruling.asks else { return nil }
        let grounds = Grounds(run: ruling.run, present: ruling.present, key: ruling.key)
        guard grounds.observes else { return try granted(ruling, context) }
        // It is made in any case: nobody is asked, and what somebody agreed to before is left for a call that needs it.
        do throws(Refusal) {
            _ = try possible(ruling, context)
            ruling.wouldRefuse = RefusalWords.wouldAsk(context.operation)
        } catch {
            ruling.wouldRefuse = error
        }
        return nil
    }

    /// Who may agree, where anybody may.
    private func possible(_ ruling: Ruling, _ context: CallContext) throws(Refusal) -> ApprovalRule {
        let rule = try rule(ruling, context)
        guard rule.isPossible(at: now, byIssuers: parts.approvals.trustsIssuers) else {
            throw RefusalWords.nobodyApproves(context.operation)
        }
        return rule
    }

    private func granted(_ ruling: Ruling, _ context: CallContext) throws(Refusal) -> (id: String, by: [String]) {
        let rule = try possible(ruling, context)
        let question = ApprovalQuestion(
            agent: context.agent,
            environment: ruling.run.bundle.environment,
            version: ruling.run.bundle.version,
            bundle: ruling.run.digest,
            operation: context.operation,
            arguments: context.call.arguments,
            run: context.run,
            asker: context.asker,
            otherAsker: context.otherAsker,
            needed: ruling.approval,
            rule: rule
        )
        let state: ApprovalState
        do throws(RecordFailure) { state = try parts.approvals.ask(question, now: now) } catch {
            parts.say("approvals cannot be asked for: \(error.message)")
            throw RefusalWords.unrecorded(context.operation)
        }
        switch state {
        case .granted(let id, let by): return (id, by)
        case .pending(let id, let until, let earlier):
            note { try $0.asked(context.counting, until: until.seconds) }
            let source = context.run.source
            throw RefusalWords.pending(id, context.operation, until: until, run: source, mayHaveHappened: earlier)
        case .denied(let id, _, _):
            note { try $0.settled(context.counting) }
            throw RefusalWords.denied(id, context.operation)
        case .tooMany(let most): throw RefusalWords.tooMany(most, context.operation)
        case .tooLong(let most): throw RefusalWords.tooLong(most, context.operation)
        }
    }

    /// Says to those who count calls what has become of one for which people are asked.
    private func note(_ body: (RunBook) throws -> Void) {
        // Without it the call counts once more than it should.
        do { try body(parts.runs) } catch { parts.say("runs cannot be written: \(error)") }
    }

    /// Who may agree: by both bundles, and never whoever asks.
    private func rule(_ ruling: Ruling, _ context: CallContext) throws(Refusal) -> ApprovalRule {
        let policy: GatewayPolicy?
        do throws(LiveTrouble) { policy = try parts.live.ready().policy() } catch {
            parts.say("\(context.agent): nobody can be asked: \(error)")
            throw RefusalWords.unreadable(context.operation)
        }
        let asking = asking(context)
        let accounts = parts.admission.accounts(of: context.agent)
            .union([context.asker, context.otherAsker].compactMap { $0?.account })
        func rule(_ bundle: PreparedBundle) -> ApprovalRule {
            ApprovalRule(
                bundle.bundle,
                tool: ruling.tool,
                operation: ruling.name,
                policy: policy,
                asking: asking,
                accounts: accounts
            )
        }
        return rule(ruling.present).both(rule(ruling.run))
    }

    /// Under which the agent signs, and whoever it acts for: none of them approves.
    private func asking(_ context: CallContext) -> Set<String> {
        var asking = parts.admission.principals(of: context.agent)
        if let principal = context.principal { asking.insert(principal) }
        for asker in [context.asker, context.otherAsker] { asking.formUnion(asker?.principals ?? []) }
        return asking
    }

    /// Takes an approval, durably: whatever happens from here on, it is used up.
    func consume(
        _ approval: (id: String, by: [String]),
        _ ruling: Ruling,
        _ context: CallContext
    ) throws(Refusal) {
        let isTaken: Bool
        do throws(RecordFailure) { isTaken = try parts.approvals.consume(id: approval.id, now: now) } catch {
            parts.say("approvals cannot be taken: \(error.message)")
            throw RefusalWords.unrecorded(context.operation)
        }
        guard !isTaken else { return note { try $0.settled(context.counting) } }
        // Another call took it first: what holds now is told, which most often is that people are asked again.
        if ruling.approval != .none { _ = try granted(ruling, context) }
        throw RefusalWords.changed(context.operation)
    }

    /// The call was not sent, since it could not be put on record: its approval is good for the next one.
    func giveBack(_ approval: (id: String, by: [String])?) {
        guard let approval else { return }
        do throws(RecordFailure) { try parts.approvals.giveBack(id: approval.id) } catch {
            parts.say("an approval cannot be given back: \(error.message)")
        }
    }

    /// Says that it is known what came of the call that took an approval: whoever is asked for it again need not look.
    func end(_ approval: (id: String, by: [String])?) {
        guard let approval else { return }
        do throws(RecordFailure) { try parts.approvals.end(id: approval.id) } catch {
            parts.say("what came of an approval cannot be written: \(error.message)")
        }
    }
}
