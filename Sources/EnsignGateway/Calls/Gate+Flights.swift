import EnsignModel
import EnsignPolicy

/// What makes a call happen once, whoever asks for it again: in this gateway, in another process, or in the next one.
extension Gate {
    /// Whether the same call is under way, here or in another process, or came to an end that nobody took: by the word of no fewer
    /// people than are needed now.
    func isKnown(_ key: SingleFlight.Key, _ ruling: Ruling) -> Bool {
        if flights.isKnown(key, with: ruling.asked) { return true }
        return ruling.asks && !ruling.isRepeatable && parts.flights.isKnown(key, with: ruling.asked)
    }

    /// Sees to it that nobody else makes a call that must not be made twice; nil for one that may.
    ///
    /// - Parameter end: Cancelled when nobody here wants the call any more.
    func takeOff(
        _ key: SingleFlight.Key,
        _ ruling: Ruling,
        isAgreed: Bool,
        _ end: Cancellation,
        _ context: CallContext
    ) throws(Refusal) -> FlightFolder.Place? {
        guard !ruling.isRepeatable else { return nil }
        let place: FlightFolder.Place
        let latest = ContinuousClock.now + ruling.timeout
        do throws(RecordFailure) {
            place = try context.call.cancellation.whileWatching({ [flights] in flights.leave(key, end) }) {
                () throws(RecordFailure) in
                // A client that leaves may ask again here: then this outcome is the one that it gets.
                try parts.flights.join(key, isAgreed: isAgreed) { !end.isCancelled && .now < latest }
            }
        } catch {
            parts.say("calls cannot be recorded: \(error.message)")
            throw RefusalWords.unrecorded(context.operation)
        }
        switch place {
        case .first, .over, .left: return place
        case .unknown: throw RefusalWords.unknown(context.operation)
        }
    }

    /// What did not happen may be asked for again at once. What happened, or may have, is told to whoever asks again. Only what
    /// may be repeated is ever stopped: of that nothing is kept.
    func land(
        _ key: SingleFlight.Key,
        _ made: Made,
        _ flight: FlightFolder.Flight?,
        _ context: CallContext
    ) {
        if made.isGivenUp { return flights.giveUp(key) }
        let happensOnce = made.wasSent && flight != nil
        let isTaken = !made.wasSent || context.call.cancellation.isAwaited
        let kept = made.landed.json
        if happensOnce, isTaken { keepIfLost(key, kept, context) }
        let isUnknown = made.landed.outcome.map { !$0.isKnown } ?? false
        let keeping = flights.keeping(key, isTaken: isTaken, happensOnce: happensOnce, isUnknown: isUnknown)
        flight?.end(made.wasSent ? kept : nil, keeping)
        // What a file keeps is kept there alone: one that is taken is taken by whoever comes first.
        flights.finish(key, kept, flight == nil ? keeping : .none)
        made.late?.hasLanded()
    }

    /// What is done with a result that comes when the client was told already that nobody knows: it is written down, and told to
    /// whoever asks for the same call again.
    func lateOutcome(
        _ ruling: Ruling,
        _ approval: (id: String, by: [String])?,
        _ intent: Int64?,
        _ context: CallContext
    ) -> LateOutcome {
        LateOutcome { [self] result in
            let landed = answer(result, ruling, parts.secrets.cutter, intent, context, isLate: true)
            end(approval)
            if let key = context.flight { parts.flights.amend(key, landed.json) }
        }
    }

    /// An outcome whose client has gone before it could be told waits for whoever asks again.
    private func keepIfLost(_ key: SingleFlight.Key, _ kept: JSONValue, _ context: CallContext) {
        context.call.cancellation.ifLost { [folder = parts.flights] in folder.keep(key, kept) }
    }

    /// Hands out what came of a call that somebody else made.
    func joined(_ key: SingleFlight.Key, _ landed: Landed, _ ruling: Ruling, _ context: CallContext) -> JSONValue {
        note("joined the same call", landed, ruling, context)
        if !ruling.isRepeatable {
            keepIfLost(key, landed.json, context)
            if !context.call.cancellation.isAwaited { context.call.cancellation.lose() }
        }
        return landed.result
    }

    /// What is told to whoever joined a call and does not wait for its end: that it is not done only where it does no harm to do
    /// it again.
    ///
    /// - Parameter intent: That of the call, where it is known by now.
    func left(_ ruling: Ruling, _ intent: Int64?, _ context: CallContext) throws(Refusal) -> JSONValue {
        guard !ruling.isRepeatable else { throw RefusalWords.gone(context.operation) }
        let unknown = RefusalWords.unknown(context.operation)
        let landed = Landed(result: unknown.result(decision: nil), intent: intent, outcome: .unknown)
        let number = note("joined the same call, and left before its end", landed, ruling, context)
        return unknown.result(decision: number)
    }

    /// What is told of a call that another process makes, to all who waited for it here.
    func leftElsewhere(_ key: SingleFlight.Key, _ ruling: Ruling, _ context: CallContext) throws(Refusal) -> JSONValue {
        let result = try left(ruling, nil, context)
        flights.finish(key, Landed(result: result, outcome: .unknown).json, .none)
        return result
    }

    /// Writes down how a call ended that was not made for itself. Its failure is that of the call that it joined, and counts there.
    @discardableResult
    private func note(_ note: String, _ landed: Landed, _ ruling: Ruling, _ context: CallContext) -> Int64? {
        var decision = context.decision(landed.outcome == nil ? .refused : .outcome)
        if landed.outcome == nil {
            decision.verdict = .refused
            decision.reason = landed.reason
            decision.recorded = context.recorded
        } else {
            decision.verdict = landed.verdict ?? ruling.verdict
            decision.intent = landed.intent
            decision.outcome = landed.outcome
            decision.milliseconds = milliseconds(context)
        }
        decision.note = note
        write(context, reason: landed.reason, wouldRefuse: landed.wouldRefuse, isJoined: true)
        return try? parts.record.append(decision)
    }

    /// Says that the call is about to be sent: whoever finds that without an outcome does not send it again.
    func takeNote(
        of flight: FlightFolder.Flight?,
        with approval: Approval,
        _ context: CallContext
    ) throws(Refusal) {
        do throws(RecordFailure) { try flight?.begins(with: approval) } catch {
            parts.say("calls cannot be recorded: \(error.message)")
            throw RefusalWords.unrecorded(context.operation)
        }
    }
}
