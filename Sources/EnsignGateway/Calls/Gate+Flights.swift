import EnsignModel
import EnsignPolicy

/// What makes a call happen once, whoever asks for it again: in this gateway, in another process, or in the next one.
extension Gate {
    /// Whether the same call is under way, here or in another process, or came to an end that nobody took.
    func isKnown(_ key: SingleFlight.Key, _ ruling: Ruling) -> Bool {
        if flights.isKnown(key) { return true }
        return ruling.approval != .none && !ruling.isRepeatable && parts.flights.isKnown(key)
    }

    /// Sees to it that nobody else makes a call that must not be made twice; nil for one that may.
    func takeOff(
        _ key: SingleFlight.Key,
        _ ruling: Ruling,
        isAgreed: Bool,
        _ context: CallContext
    ) throws(Refusal) -> FlightFolder.Place? {
        guard !ruling.isRepeatable else { return nil }
        let place: FlightFolder.Place
        do throws(RecordFailure) {
            // A client that leaves may ask again here: then this outcome is the one that it gets.
            place = try parts.flights.join(key, isAgreed: isAgreed)
        } catch {
            parts.say("calls cannot be recorded: \(error.message)")
            throw RefusalWords.unrecorded(context.operation)
        }
        switch place {
        case .first, .over: return place
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
        if happensOnce, isTaken { keepIfLost(key, made.result, context) }
        let keeping = flights.keeping(key, isTaken: isTaken, happensOnce: happensOnce)
        flight?.end(made.wasSent ? made.result : nil, keeping)
        // What a file keeps is kept there alone: one that is taken is taken by whoever comes first.
        flights.finish(key, made.result, flight == nil ? keeping : .none)
    }

    /// An outcome whose client has gone before it could be told waits for whoever asks again.
    private func keepIfLost(_ key: SingleFlight.Key, _ result: JSONValue, _ context: CallContext) {
        context.call.cancellation.ifLost { [folder = parts.flights] in folder.keep(key, result) }
    }

    /// Hands out what came of a call that somebody else made.
    func joined(_ key: SingleFlight.Key, _ result: JSONValue, _ ruling: Ruling, _ context: CallContext) -> JSONValue {
        note("joined the same call", ruling, context)
        if !ruling.isRepeatable {
            keepIfLost(key, result, context)
            if !context.call.cancellation.isAwaited { context.call.cancellation.lose() }
        }
        return result
    }

    /// What is told to whoever joined a call and does not wait for its end: that it is not done only where it does no harm to do
    /// it again.
    func left(_ ruling: Ruling, _ context: CallContext) throws(Refusal) -> JSONValue {
        guard !ruling.isRepeatable else { throw RefusalWords.gone(context.operation) }
        let number = note("joined the same call, and left before its end", ruling, context)
        return RefusalWords.unknown(context.operation).result(decision: number)
    }

    @discardableResult
    private func note(_ note: String, _ ruling: Ruling, _ context: CallContext) -> Int64? {
        var decision = context.decision(.outcome)
        decision.verdict = ruling.verdict
        decision.note = note
        return try? parts.record.append(decision)
    }

    /// Says that the call is about to be sent: whoever finds that without an outcome does not send it again.
    func takeNote(
        of flight: FlightFolder.Flight?,
        _ station: UpstreamDesk.Station,
        _ context: CallContext
    ) throws(Refusal) {
        do throws(RecordFailure) { try flight?.begins() } catch {
            parts.say("calls cannot be recorded: \(error.message)")
            station.passed()
            throw RefusalWords.unrecorded(context.operation)
        }
    }
}
