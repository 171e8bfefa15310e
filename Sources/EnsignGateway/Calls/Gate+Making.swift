import EnsignMCP
import EnsignModel
import EnsignPolicy

/// From a call that may be made to what came of it.
extension Gate {
    /// Makes a call once, whoever asks for it meanwhile.
    func make(_ ruling: Ruling, _ context: inout CallContext) throws(Refusal) -> JSONValue {
        let key = SingleFlight.Key(
            agent: context.agent,
            run: context.run.name,
            bundle: ruling.run.digest,
            operation: context.operation,
            arguments: context.call.arguments
        )
        var ruling = ruling
        var approval: (id: String, by: [String])?
        // Whoever asks again for what is under way needs no second approval for it; but one where it was made with less than is
        // needed by now.
        if !isKnown(key, ruling) { approval = try approve(&ruling, context) }
        context.flight = key
        switch flights.join(key, context.call.cancellation, with: ruling.asked) {
        case .gone(let intent): return try left(ruling, intent, context)
        case .joined(let kept): return joined(key, Landed(kept), ruling, context)
        case .first(let end):
            var flight: FlightFolder.Flight?
            let made: Made
            do throws(Refusal) {
                switch try takeOff(key, ruling, isAgreed: approval != nil, end, context) {
                case .over(let kept)?:
                    flights.finish(key, kept, .none)
                    return joined(key, Landed(kept), ruling, context)
                case .left?: return try leftElsewhere(key, ruling, context)
                case .first(let own)?: flight = own
                case .unknown?, nil: break
                }
                // What was under way a moment ago has ended since: this is a call of its own.
                if approval == nil { approval = try approve(&ruling, context) }
                made = try context.call.cancellation.whileWatching({ [flights] in flights.leave(key, end) }) {
                    () throws(Refusal) in try send(ruling, approval, flight, end, &context)
                }
            } catch {
                made = Made(landed: Landed(result: refused(error, context)), wasSent: false)
            }
            land(key, made, flight, context)
            return made.landed.result
        }
    }

    /// What came of a call.
    struct Made {
        var landed: Landed
        /// Whether the server may have got it.
        var wasSent: Bool
        /// Whether it was stopped because nobody wanted to know any more.
        var isGivenUp = false
        /// Waits for a result that comes after the time; nil where none is of use.
        var late: LateOutcome?
    }

    // MARK: Sending

    /// A server that may be called, with what was reviewed.
    private func station(_ ruling: Ruling, _ context: CallContext) throws(Refusal) -> UpstreamDesk.Station {
        switch parts.upstreams.reference(of: ruling.tool, in: ruling.present) {
        case .failure(let off):
            parts.say("\(ruling.tool) is off: \(off)")
            throw RefusalWords.off(context.operation)
        case .success(let reference):
            guard let station = parts.upstreams.station(ruling.tool, reference: reference) else {
                throw RefusalWords.off(context.operation)
            }
            guard let admitted = station.admitted() else { throw RefusalWords.resting(context.operation) }
            return admitted
        }
    }

    /// A call that may be sent now: by what its route gives at this moment, to this server, with these people's word.
    private struct Cleared {
        var ruling: Ruling
        var approval: (id: String, by: [String])?
        var station: UpstreamDesk.Station
        var definition: Definition
    }

    /// The server's own definition, as it was held against what was reviewed.
    private struct Definition {
        var tool: ServerListing.Tool
        /// The start of the server whose list it is from.
        var start: Int?
    }

    /// Finds the server, and holds it against what was reviewed. That may take a while: then all is decided again, and what has
    /// changed counts as if it had been there before.
    private func cleared(
        _ ruling: Ruling,
        _ approval: (id: String, by: [String])?,
        _ end: Cancellation,
        _ context: inout CallContext
    ) throws(Refusal) -> Cleared {
        var (ruling, approval) = (ruling, approval)
        for _ in 0..<4 {
            let station = try station(ruling, context)
            do throws(Refusal) {
                try checkSecret(station, ruling, end, context)
                let definition = try checkedDefinition(ruling, station, &context)
                if approval == nil, !hasWaited(context) {
                    return Cleared(ruling: ruling, approval: nil, station: station, definition: definition)
                }
                var again = try decidedAgain(ruling, &context)
                // Whoever agreed may have left meanwhile. An approval that is needed no more is used up all the same.
                approval = try approve(&again, context) ?? approval
                let isSame = again.present.digest == ruling.present.digest
                ruling = again
                if isSame {
                    return Cleared(ruling: ruling, approval: approval, station: station, definition: definition)
                }
            } catch {
                station.passed()
                throw error
            }
            // The server, its credentials and its pins may be others now.
            station.passed()
        }
        throw RefusalWords.changed(context.operation)
    }

    private func send(
        _ ruling: Ruling,
        _ approval: (id: String, by: [String])?,
        _ flight: FlightFolder.Flight?,
        _ end: Cancellation,
        _ context: inout CallContext
    ) throws(Refusal) -> Made {
        let cleared = try cleared(ruling, approval, end, &context)
        let (ruling, approval, station) = (cleared.ruling, cleared.approval, cleared.station)
        do throws(Refusal) {
            // One signature, one call: nothing that needs an approval is ever sent without one. And nothing that may not be
            // repeated without a place where others see that it is under way.
            guard approval != nil || ruling.approval == .none || ruling.wouldRefuse != nil,
                flight != nil || ruling.isRepeatable
            else { throw RefusalWords.changed(context.operation) }
            try takeNote(of: flight, with: ruling.asked, context)
            if let approval { try consume(approval, ruling, context) }
        } catch {
            station.passed()
            throw error
        }
        let intent: Int64?
        do throws(Refusal) { intent = try announce(ruling, approval, station, context) } catch {
            giveBack(approval)
            throw error
        }
        let made: Made
        do throws(Refusal) { made = try send(cleared, intent, end, &context) } catch {
            // Nothing was sent.
            self.end(approval)
            throw error
        }
        if made.landed.outcome?.isKnown ?? true { self.end(approval) }
        return made
    }

    /// Sends what may be sent and is on record.
    private func send(
        _ cleared: Cleared,
        _ intent: Int64?,
        _ end: Cancellation,
        _ context: inout CallContext
    ) throws(Refusal) -> Made {
        let (ruling, station) = (cleared.ruling, cleared.station)
        let repeatable = ruling.isRepeatable
        let late = repeatable ? nil : lateOutcome(ruling, cleared.approval, intent, context)
        var call = UpstreamCall(
            tool: ruling.serverTool,
            arguments: context.call.arguments,
            input: cleared.definition.tool.input,
            meta: context.trace.meta,
            timeout: ruling.timeout,
            // What changes something is not stopped in the middle because a client gave up: it may ask again.
            cancellation: repeatable ? end : Cancellation(),
            progress: context.call.progress.map { told(by: $0) },
            reading: context.call.reading
        )
        call.start = cleared.definition.start
        call.mayBeSent = stillHolds(ruling, context)
        if let late { call.late = { late.came($0) } }
        var outcome = station.upstream.call(call)
        if let failure = worthRetrying(outcome, repeatable, station) {
            let definition = try lookAgain(ruling, station, intent, failure, call.cancellation, &context)
            (call.input, call.start) = (definition.tool.input, definition.start)
            call.mayBeSent = stillHolds(ruling, context)
            outcome = station.upstream.call(call)
        }
        var made = conclude(outcome, ruling, station, intent, context)
        made.late = late
        return made
    }

    /// Whether the route still gives what a call was decided by, asked right before its first byte: its turn, or a connection,
    /// may have been waited for.
    private func stillHolds(_ ruling: Ruling, _ context: CallContext) -> @Sendable () -> Bool {
        { [self] in
            var context = context
            guard hasWaited(context) else { return true }
            return (try? decidedAgain(ruling, &context))?.present.digest == ruling.present.digest
        }
    }

    /// What a server says of its progress, as far as it is passed on.
    private func told(by progress: @escaping @Sendable (JSONObject) -> Void) -> @Sendable (JSONObject) -> Void {
        { [self] said in
            if let passed = ProgressCheck(cutter: cutter).check(said) { progress(passed) }
        }
    }

    /// Once, where nothing was sent: a call that may be repeated, one whose credentials were refused, and one whose server had
    /// ended, or whose route had changed, before its first byte.
    ///
    /// - Returns: Why it was not made; nil where it is not sent again.
    private func worthRetrying(
        _ outcome: UpstreamOutcome,
        _ repeatable: Bool,
        _ station: UpstreamDesk.Station
    ) -> UpstreamFailure? {
        guard case .notSent(let failure) = outcome else { return nil }
        if failure.kind == .unauthorized, let reference = station.reference {
            parts.secrets.forget(reference)
            station.upstream.renew()
            return failure
        }
        let isWorthIt =
            [.ended, .withdrawn].contains(failure.kind)
            || repeatable && [.unreachable, .forgotten].contains(failure.kind)
        return isWorthIt ? failure : nil
    }

    /// Before a call is sent once more: its credentials are read and its server is asked anew, which takes a while, and what is
    /// on record as its intent must still hold.
    ///
    /// - Returns: The server's definition as it is now.
    private func lookAgain(
        _ ruling: Ruling,
        _ station: UpstreamDesk.Station,
        _ intent: Int64?,
        _ failure: UpstreamFailure,
        _ end: Cancellation,
        _ context: inout CallContext
    ) throws(Refusal) -> Definition {
        let before = context
        do throws(Refusal) {
            try checkSecret(station, ruling, end, context)
            let definition = try checkedDefinition(ruling, station, &context)
            let again = try decidedAgain(ruling, &context)
            guard again.present.digest == ruling.present.digest else { throw RefusalWords.changed(context.operation) }
            return definition
        } catch {
            station.passed()
            close(before, ruling, intent, .toolError, note: failure.note)
            throw error
        }
    }

    // MARK: Before

    /// The server's definition, which is the one that was reviewed, or first seen: of what an observed agent is not granted, too.
    private func checkedDefinition(
        _ ruling: Ruling,
        _ station: UpstreamDesk.Station,
        _ context: inout CallContext
    ) throws(Refusal) -> Definition {
        let listing = try listing(ruling, station, context)
        pinFirstSeen(listing, of: ruling.tool, ruling.run, ruling.present, station)
        let name = ruling.serverTool
        let tools = listing.tools(named: name)
        guard let tool = tools.first else {
            let why = listing.leftOut[name].map { ", as it should be: \($0)" } ?? ""
            parts.say("\(ruling.tool): the server offers no \(name.quoted(utf8: 130))\(why)")
            throw RefusalWords.notOffered(context.operation)
        }
        let seen = station.pins.pin(of: tool)
        let note: String
        if tools.contains(where: { station.pins.pin(of: $0) != seen }) {
            note = "the server lists \(context.operation) twice, with different definitions"
        } else {
            var wanted = ruling.granted.all.compactMap(\.pin)
            if wanted.isEmpty { wanted = [try firstSeen(seen, ruling, station, listing, context)] }
            guard wanted.contains(where: { $0 != seen }) else { return Definition(tool: tool, start: listing.start) }
            note = "the server's definition of \(context.operation) is \(seen.short), pinned is \(wanted[0].short)"
        }
        parts.say(note)
        context.note = note
        if parts.pinRule == .reads, ruling.onlyReads { return Definition(tool: tool, start: listing.start) }
        throw RefusalWords.pinned(context.operation)
    }

    private func listing(
        _ ruling: Ruling,
        _ station: UpstreamDesk.Station,
        _ context: CallContext
    ) throws(Refusal) -> ServerListing {
        do throws(UpstreamFailure) { return try Self.listing(station, parts.secrets) } catch {
            // That a list took too long says nothing of a server's calls.
            if error.kind == .timedOut { station.passed() } else { station.learned(error) }
            parts.say("\(ruling.tool): \(cutter.cut(error.message))")
            // Nobody else cancels a start or a list.
            if error.kind == .cancelled, isClosed { throw .stopping(context.operation) }
            throw RefusalWords.unreachable(context.operation, error)
        }
    }

    /// What the server offers; with credentials that were read again, where it refuses those that were kept.
    private static func listing(
        _ station: UpstreamDesk.Station,
        _ secrets: SecretShelf
    ) throws(UpstreamFailure) -> ServerListing {
        do throws(UpstreamFailure) { return try station.listing() } catch {
            guard error.kind == .unauthorized, let reference = station.reference else { throw error }
            secrets.forget(reference)
            station.upstream.renew()
            return try station.listing()
        }
    }

    private var cutter: SecretCutter { parts.secrets.cutter }

    /// Waits for the credentials no longer than the call may take, and not where nobody wants it any more.
    private func checkSecret(
        _ station: UpstreamDesk.Station,
        _ ruling: Ruling,
        _ end: Cancellation,
        _ context: CallContext
    ) throws(Refusal) {
        guard let reference = station.reference else { return }
        do throws(UpstreamFailure) { _ = try parts.secrets.secret(reference, until: .now + ruling.timeout, end) } catch
        {
            parts.say("\(context.operation): \(error.message)")
            if error.kind == .cancelled {
                throw isClosed ? .stopping(context.operation) : RefusalWords.gone(context.operation)
            }
            throw RefusalWords.locked(context.operation)
        }
    }

    /// Whether anything was waited for since the route was read: no call takes so long to get here by itself.
    private func hasWaited(_ context: CallContext) -> Bool {
        context.looked.map { ContinuousClock.now - $0 > .microseconds(500) } ?? true
    }

    /// Writes down that the call is about to be sent.
    ///
    /// - Returns: Nil where that cannot be written and the call only reads.
    private func announce(
        _ ruling: Ruling,
        _ approval: (id: String, by: [String])?,
        _ station: UpstreamDesk.Station,
        _ context: CallContext
    ) throws(Refusal) -> Int64? {
        var decision = context.decision(.intent)
        decision.verdict = ruling.verdict
        decision.reason = ruling.wouldRefuse?.reason
        decision.pointer = ruling.wouldRefuse?.pointer
        decision.approval = approval
        decision.recorded = context.recorded
        do throws(RecordFailure) {
            let number = try parts.record.append(decision)
            if let key = context.flight { flights.isAnnounced(key, by: number) }
            return number
        } catch {
            parts.say("calls cannot be recorded: \(error.message)")
            guard ruling.onlyReads, approval == nil, ruling.wouldRefuse == nil else {
                station.passed()
                throw RefusalWords.unrecorded(context.operation)
            }
            return nil
        }
    }
}
