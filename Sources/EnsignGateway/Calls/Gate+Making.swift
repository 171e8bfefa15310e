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
        // Whoever asks again for what is under way needs no second approval for it.
        if !isKnown(key, ruling) { approval = try approve(&ruling, context) }
        switch flights.join(key, context.call.cancellation) {
        case .gone: return try left(ruling, context)
        case .joined(let result): return joined(key, result, ruling, context)
        case .first(let end):
            var flight: FlightFolder.Flight?
            let made: Made
            do throws(Refusal) {
                let place = try takeOff(key, ruling, isAgreed: approval != nil, context)
                if case .over(let result)? = place {
                    flights.finish(key, result, .none)
                    return joined(key, result, ruling, context)
                }
                if case .first(let own)? = place { flight = own }
                // What was under way a moment ago has ended since: this is a call of its own.
                if approval == nil { approval = try approve(&ruling, context) }
                made = try context.call.cancellation.whileWatching({ [flights] in flights.leave(key, end) }) {
                    () throws(Refusal) in try send(ruling, approval, flight, end, &context)
                }
            } catch {
                made = Made(result: refused(error, context), wasSent: false)
            }
            land(key, made, flight, context)
            return made.result
        }
    }

    /// What came of a call.
    struct Made {
        var result: JSONValue
        /// Whether the server may have got it.
        var wasSent: Bool
        /// Whether it was stopped because nobody wanted to know any more.
        var isGivenUp = false
    }

    // MARK: Approval

    /// Asks people where they are needed.
    ///
    /// - Returns: The approval that is to be taken before the call is sent; nil where none is needed.
    private func approve(
        _ ruling: inout Ruling,
        _ context: CallContext
    ) throws(Refusal) -> (id: String, by: [String])? {
        guard ruling.approval != .none, ruling.wouldRefuse == nil else { return nil }
        let refusal: Refusal
        do throws(Refusal) { return try granted(ruling, context) } catch { refusal = error }
        let grounds = Grounds(run: ruling.run, present: ruling.present, key: ruling.key)
        guard grounds.observes else { throw refusal }
        ruling.wouldRefuse = refusal
        return nil
    }

    private func granted(_ ruling: Ruling, _ context: CallContext) throws(Refusal) -> (id: String, by: [String]) {
        let rule = try rule(ruling, context)
        guard rule.isPossible(at: now, byIssuers: parts.approvals.trustsIssuers) else {
            throw RefusalWords.nobodyApproves(context.operation)
        }
        let question = ApprovalQuestion(
            agent: context.agent,
            environment: ruling.run.bundle.environment,
            version: ruling.run.bundle.version,
            bundle: ruling.run.digest,
            operation: context.operation,
            arguments: context.call.arguments,
            run: context.run,
            asker: context.asker,
            needed: ruling.approval,
            rule: rule
        )
        let state: ApprovalState
        do throws(RecordFailure) { state = try parts.approvals.ask(question, now: now) } catch {
            parts.say("approvals cannot be asked for: \(error.message)")
            throw RefusalWords.unrecorded
        }
        switch state {
        case .granted(let id, let by): return (id, by)
        case .pending(let id, let until): throw RefusalWords.pending(id, context.operation, until: until)
        case .denied(let id, _, _): throw RefusalWords.denied(id, context.operation)
        case .tooMany(let most): throw RefusalWords.tooMany(most, context.operation)
        case .tooLong(let most): throw RefusalWords.tooLong(most, context.operation)
        }
    }

    /// Who may agree: by both bundles, and never whoever asks.
    private func rule(_ ruling: Ruling, _ context: CallContext) throws(Refusal) -> ApprovalRule {
        let policy: GatewayPolicy?
        do throws(LiveTrouble) { policy = try parts.live.ready().policy() } catch {
            parts.say("\(context.agent): nobody can be asked: \(error)")
            throw RefusalWords.unreadable
        }
        let asking = asking(context)
        func rule(_ bundle: PreparedBundle) -> ApprovalRule {
            ApprovalRule(
                bundle.bundle,
                tool: ruling.tool,
                operation: ruling.name,
                policy: policy,
                asking: asking
            )
        }
        return rule(ruling.present).both(rule(ruling.run))
    }

    /// Under which the agent signs, and whoever it acts for: none of them approves.
    private func asking(_ context: CallContext) -> Set<String> {
        var asking = parts.admission.principals(of: context.agent)
        if let principal = context.principal { asking.insert(principal) }
        if let asker = context.asker { asking.formUnion(asker.principals) }
        return asking
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

    private func send(
        _ ruling: Ruling,
        _ approval: (id: String, by: [String])?,
        _ flight: FlightFolder.Flight?,
        _ end: Cancellation,
        _ context: inout CallContext
    ) throws(Refusal) -> Made {
        // One signature, one call: nothing that needs an approval is ever sent without one.
        guard approval != nil || ruling.approval == .none || ruling.wouldRefuse != nil else {
            throw RefusalWords.changed
        }
        let station = try station(ruling, context)
        do throws(Refusal) {
            try checkSecret(station, context)
            try checkPins(ruling, station, &context)
            if approval != nil || hasWaited(context) { try checkAgain(ruling, &context) }
            if let approval {
                // Whoever agreed may have left while a server was started.
                guard try granted(ruling, context).id == approval.id else { throw RefusalWords.changed }
                try consume(approval, ruling, context)
            }
        } catch {
            station.passed()
            throw error
        }
        try takeNote(of: flight, station)
        let intent = try announce(ruling, approval, station, context)
        let repeatable = ruling.isRepeatable
        let call = UpstreamCall(
            tool: ruling.serverTool,
            arguments: context.call.arguments,
            meta: context.trace.meta,
            timeout: ruling.timeout,
            // What changes something is not stopped in the middle because a client gave up: it may ask again.
            cancellation: repeatable ? end : Cancellation(),
            progress: context.call.progress.map { told(by: $0) },
            reading: context.call.reading
        )
        var outcome = station.upstream.call(call)
        if isWorthRetrying(outcome, repeatable, station) { outcome = station.upstream.call(call) }
        return conclude(outcome, ruling, station, intent, context)
    }

    /// What a server says of its progress, as far as it is passed on.
    private func told(by progress: @escaping @Sendable (JSONObject) -> Void) -> @Sendable (JSONObject) -> Void {
        { [self] said in
            if let passed = ProgressCheck(cutter: cutter).check(said) { progress(passed) }
        }
    }

    /// Once, where nothing was sent: a call that may be repeated, or one whose credentials were refused.
    private func isWorthRetrying(
        _ outcome: UpstreamOutcome,
        _ repeatable: Bool,
        _ station: UpstreamDesk.Station
    ) -> Bool {
        guard case .notSent(let failure) = outcome else { return false }
        if failure.kind == .unauthorized, let reference = station.reference {
            parts.secrets.forget(reference)
            station.upstream.end()
            return true
        }
        return repeatable && (failure.kind == .unreachable || failure.kind == .ended)
    }

    // MARK: Before

    /// Whether the server's definition is the one that was reviewed, or first seen.
    private func checkPins(
        _ ruling: Ruling,
        _ station: UpstreamDesk.Station,
        _ context: inout CallContext
    ) throws(Refusal) {
        guard ruling.operation != nil else { return }
        let seen = try definition(ruling, station, context)
        var wanted = ruling.granted.all.compactMap(\.pin)
        if wanted.isEmpty {
            do throws(RecordFailure) {
                wanted = [try parts.pins.pinned(tool: ruling.tool, operation: ruling.name, seen: seen)]
            } catch {
                parts.say("pins cannot be read: \(error.message)")
                throw RefusalWords.unrecorded
            }
        }
        guard wanted.contains(where: { $0 != seen }) else { return }
        let note = "the server's definition of \(context.operation) is \(seen.short), pinned is \(wanted[0].short)"
        parts.say(note)
        context.note = note
        if parts.pinRule == .reads, ruling.onlyReads { return }
        throw RefusalWords.pinned(context.operation)
    }

    private func definition(
        _ ruling: Ruling,
        _ station: UpstreamDesk.Station,
        _ context: CallContext
    ) throws(Refusal) -> Digest {
        let listing: ServerListing
        do throws(UpstreamFailure) { listing = try Self.listing(station, ruling.timeout, parts.secrets) } catch {
            learn(error, station)
            parts.say("\(ruling.tool): \(cutter.cut(error.message))")
            throw RefusalWords.unreachable(context.operation)
        }
        let name = ruling.serverTool
        guard let tool = listing.tools.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
            parts.say("\(ruling.tool): the server offers no \(name.quoted(utf8: 130))")
            throw RefusalWords.notOffered(context.operation)
        }
        return station.pins.pin(of: tool)
    }

    /// What the server offers; with credentials that were read again, where it refuses those that were kept.
    private static func listing(
        _ station: UpstreamDesk.Station,
        _ time: Duration,
        _ secrets: SecretShelf
    ) throws(UpstreamFailure) -> ServerListing {
        do throws(UpstreamFailure) { return try station.upstream.listing(within: time) } catch {
            guard error.kind == .unauthorized, let reference = station.reference else { throw error }
            secrets.forget(reference)
            station.upstream.end()
            return try station.upstream.listing(within: time)
        }
    }

    private var cutter: SecretCutter { parts.secrets.cutter }

    private func checkSecret(_ station: UpstreamDesk.Station, _ context: CallContext) throws(Refusal) {
        guard let reference = station.reference else { return }
        do throws(UpstreamFailure) { _ = try parts.secrets.secret(reference) } catch {
            parts.say("\(context.operation): \(error.message)")
            throw RefusalWords.unreachable(context.operation)
        }
    }

    /// Whether anything was waited for since the route was read: no call takes so long to get here by itself.
    private func hasWaited(_ context: CallContext) -> Bool {
        context.looked.map { ContinuousClock.now - $0 > .microseconds(500) } ?? true
    }

    /// What may have changed while a server was started, a secret was read, or somebody else's call was waited for.
    private func checkAgain(_ ruling: Ruling, _ context: inout CallContext) throws(Refusal) {
        let (present, entry) = try present(context.agent, key: ruling.key)
        guard present.digest != ruling.present.digest, let refusal = refusal(of: ruling, by: present, context) else {
            return
        }
        context.isDecided(by: ruling.run, present, of: entry)
        throw refusal
    }

    /// Why a bundle that came meanwhile does not allow what was allowed before; nil where it does.
    private func refusal(of ruling: Ruling, by present: PreparedBundle, _ context: CallContext) -> Refusal? {
        let call = CallPolicy.Call(tool: ruling.tool, operation: ruling.name, arguments: context.call.arguments)
        let circumstances = CallPolicy.Circumstances(today: now.date)
        guard let verdict = try? CallPolicy.decide(call, run: ruling.run, present: present, circumstances) else {
            return RefusalWords.changed
        }
        switch verdict {
        case .allowed: return nil
        case .needsApproval(let approval) where approval <= ruling.approval: return nil
        // It is decided anew, and counted, when it comes again.
        case .needsApproval: return RefusalWords.changed
        case .refused(let refusal):
            if ruling.wouldRefuse != nil, present.bundle.mode == .observe { return nil }
            return RefusalWords.refusal(refusal, of: call, calledAs: context.call.name)
        }
    }

    /// Takes an approval, durably: whatever happens from here on, it is used up.
    private func consume(
        _ approval: (id: String, by: [String]),
        _ ruling: Ruling,
        _ context: CallContext
    ) throws(Refusal) {
        let isTaken: Bool
        do throws(RecordFailure) { isTaken = try parts.approvals.consume(id: approval.id, now: now) } catch {
            parts.say("approvals cannot be taken: \(error.message)")
            throw RefusalWords.unrecorded
        }
        guard !isTaken else { return }
        // Another call took it first: what holds now is told, which most often is that people are asked again.
        _ = try granted(ruling, context)
        throw RefusalWords.changed
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
        decision.verdict = ruling.wouldRefuse == nil ? .allowed : .wouldRefuse
        decision.reason = ruling.wouldRefuse?.reason
        decision.pointer = ruling.wouldRefuse?.pointer
        decision.approval = approval
        let places = ruling.granted.all.flatMap(\.record)
        decision.recorded = Set(places).sorted().compactMap { place in
            place.value(in: context.call.arguments).map { (place.description, $0) }
        }
        do throws(RecordFailure) { return try parts.record.append(decision) } catch {
            parts.say("calls cannot be recorded: \(error.message)")
            guard ruling.onlyReads, approval == nil, ruling.wouldRefuse == nil else {
                station.passed()
                throw RefusalWords.unrecorded
            }
            return nil
        }
    }
}
