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
            throw RefusalWords.unrecorded
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
        let isTaken = !made.wasSent || !context.call.cancellation.isCancelled
        let keeping = flights.keeping(key, isTaken: isTaken, happensOnce: made.wasSent && flight != nil)
        flight?.end(made.wasSent ? made.result : nil, keeping)
        // What a file keeps is kept there alone: one that is taken is taken by whoever comes first.
        flights.finish(key, made.result, flight == nil ? keeping : .none)
    }

    func joined(_ context: CallContext) {
        var decision = context.decision(.outcome)
        decision.verdict = .allowed
        decision.note = "joined the same call"
        _ = try? parts.record.append(decision)
    }

    /// Says that the call is about to be sent: whoever finds that without an outcome does not send it again.
    func takeNote(of flight: FlightFolder.Flight?, _ station: UpstreamDesk.Station) throws(Refusal) {
        do throws(RecordFailure) { try flight?.begins() } catch {
            parts.say("calls cannot be recorded: \(error.message)")
            station.passed()
            throw RefusalWords.unrecorded
        }
    }
}
