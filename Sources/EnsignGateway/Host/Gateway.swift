import EnsignCrypto
import EnsignModel
import EnsignSystem

/// The gateway of one environment: all that the operator's file names, put together.
///
/// Safe from any number of threads. Several processes may share one state: clients that start a process for each call do.
package final class Gateway: Sendable {
    package let file: GatewayFile
    package let gate: Gate
    package let live: LiveSource
    package let log: DecisionLog
    package let approvals: ApprovalFolder
    package let pins: PinFolder
    package let upstreams: UpstreamDesk
    package let admission: Admission
    private let errands: Errands
    private let housekeeping: Housekeeping
    /// What opens the servers' doors.
    package let secrets: SecretShelf
    private let state: StateFolder
    private let beginsAnew: Bool
    private let usage: LateUsage?
    private let say: @Sendable (String) -> Void

    /// - Parameters:
    ///   - version: The gateway's own.
    ///   - before: The one that served until its file was read again: what it knows of a folder of spans is known here, and whom
    ///     it believes is believed.
    ///   - say: Tells the operator something, who may have been told before.
    /// - Throws: ``RecordFailure`` or a system's error where the state cannot be used.
    package init(
        _ file: GatewayFile,
        version: String,
        surroundings: Surroundings = Surroundings(),
        after before: Gateway? = nil,
        say: @escaping @Sendable (String) -> Void
    ) throws {
        self.file = file
        let state = try StateFolder(file.state.value)
        let errands = Errands(say)
        let keys = KeyShelf(say: say)
        let live = LiveSource(
            live: file.live.value,
            keys: file.keys.value,
            // Who owns it when the file is read again is nobody's word.
            owner: file.owner.map { surroundings.number($0.value) } ?? before?.live.owner,
            maxAge: file.maxAge,
            state: state.path
        )
        self.state = state
        beginsAnew = try state.beginsAnew
        let anchors = file.anchors.map { $0.map(\.value) }
        let log = try DecisionLog(
            state,
            environment: live.knownEnvironment,
            anchor: { head in
                for words in anchors { errands.run(words, input: head.json.canonicalBytes() + [0x0A]) }
            }
        )
        let (lines, notify) = (file.approvals.issuers, file.approvals.notify.map(\.value))
        let issuers: @Sendable () -> [TokenIssuer] = { lines.compactMap(keys.issuer) }
        let admission = Admission(file, keys: keys)
        let approvers = PresentApprovers(live: live, admission: admission)
        let runs = try RunBook(state: state.path)
        let secrets = SecretShelf(file.credentials.mapValues { $0.map(\.value) }, say: say)
        let approvals = try ApprovalFolder(
            state,
            wait: file.approvals.wait,
            issuers: lines.isEmpty ? nil : issuers,
            log: CuttingRecord(record: log, secrets: secrets),
            rule: { approvers.rule(of: $0) },
            record: { approvers.record(of: $0, runs) },
            notify: { errands.run(notify, input: $0.bytes) },
            say: say
        )
        let bubblewrap = surroundings.sandbox
        upstreams = UpstreamDesk(file.upstreams, secrets: secrets, sandbox: bubblewrap, say: say) {
            address,
            secrets,
            tell in
            switch address {
            case .program(let program): ProgramUpstream(program, secrets: secrets, version: version, tell: tell)
            case .web(let url): WebUpstream(url, secrets: secrets, version: version)
            }
        }
        pins = try PinFolder(state)
        let flights = try FlightFolder(state: state.path) { String(log.mac(ofArguments: $0).dropFirst("hmac:".count)) }
        self.admission = admission
        usage =
            before?.usage(for: file)
            ?? file.usage.map { LateUsage(folder: $0.value, state: state.path, live: live, say: say) }
        gate = Gate(
            Gate.Parts(
                file: file,
                admission: admission,
                keys: keys,
                live: live,
                runs: runs,
                record: log,
                approvals: approvals,
                pins: pins,
                flights: flights,
                upstreams: upstreams,
                secrets: secrets,
                spans: file.telemetry.map { place in
                    SpanWriter(folder: place.value, environment: live.knownEnvironment, say: say)
                },
                usage: usage,
                say: say
            )
        )
        (self.live, self.log, self.approvals, self.errands, self.say) = (live, log, approvals, errands, say)
        self.secrets = secrets
        let gate = gate
        housekeeping = Housekeeping(
            log: log,
            approvals: approvals,
            flights: flights,
            runs: runs,
            keep: file.keep,
            settle: { gate.settle() },
            say: say
        )
    }

    /// What is known of the spans that another file names, too: those that it was read from may be compressed or removed since.
    private func usage(for other: GatewayFile) -> LateUsage? {
        let isSame =
            file.usage?.value == other.usage?.value && file.state.value == other.state.value
            && file.live.value == other.live.value
        return isSame ? usage : nil
    }

    /// Writes down that it serves, and what it can claim; from then on signs heads and removes what is old.
    ///
    /// Where that cannot be written it serves all the same: what only reads goes on, and the rest is refused call by call.
    package func start(_ claim: Claim) {
        var decision = Decision(.start)
        decision.note = claim.sentence
        if beginsAnew {
            let note =
                "the decision log begins with number 1, and there was one before: it is not there any more"
            decision.note = "\(note); claim \(claim.sentence)"
            say(note)
        }
        do throws(RecordFailure) {
            _ = try log.append(decision)
            try state.noteLog()
        } catch { say(error.message) }
        // From now on its end is noticed, also where no call has needed it before.
        do throws(LiveTrouble) { _ = try live.ready().policy() } catch { say("\(error)") }
        housekeeping.start()
    }

    /// Does nothing by the clock any more: another gateway serves from now on.
    package func rest() { housekeeping.stop() }

    /// Ends all servers, once nothing is under way any more of one that rests.
    package func retire() {
        upstreams.end()
        gate.settle(all: true)
        errands.finish()
    }

    /// Ends all servers. What is under way was finished before.
    ///
    /// - Parameter note: For the log; nil leaves no line there.
    package func end(_ note: String?) {
        housekeeping.stop()
        upstreams.end()
        gate.settle(all: true)
        if let note {
            var decision = Decision(.stop)
            decision.note = note
            _ = try? log.append(decision)
        } else {
            try? log.signHead(always: true)
        }
        errands.finish()
    }
}
