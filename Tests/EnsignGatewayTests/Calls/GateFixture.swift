import EnsignCrypto
import EnsignJSON
import EnsignMCP
import EnsignManifest
import EnsignModel
import EnsignPolicy
import EnsignSystem
import EnsignTestSupport
import Synchronization
import Testing

@testable import EnsignGateway

/// A gate over a live directory that tests publish, with everything else in memory.
final class GateFixture: Sendable {
    let scratch: ScratchDirectory
    let log = MemoryLog()
    let desk = MemoryDesk()
    let pins = MemoryPins()
    let server = MemoryServer()
    let time = StandingClock()
    let gate: Gate
    let environment = "prod"
    private let key = SSHPrivateKey(seed: [UInt8](repeating: 7, count: 32))
    private let entry = Mutex<Int64>(0)

    var live: String { "\(scratch.path)/live" }
    var state: String { "\(scratch.path)/state" }
    static let agent = EnsignTestSupport.agent("support/triage")

    /// - Parameters:
    ///   - limits: Of the operator's file, as YAML.
    ///   - upstream: The line of `crm`, as YAML.
    init(
        more: String = "",
        upstream: String = "{command: [/usr/bin/crm]}",
        usage: (any UsageSource)? = nil
    ) throws {
        let scratch = try ScratchDirectory()
        self.scratch = scratch
        try Files.makeDirectories("\(scratch.path)/live")
        try Files.makeDirectories("\(scratch.path)/state", mode: 0o700)
        let line = "prod@ensign.invalid namespaces=\"ensign-live\" \(key.publicKey.line)\n"
        try scratch.write("keys", line)
        let text = """
            apiVersion: ensign.dev/v1
            kind: Gateway
            spec:
              live: \(scratch.path)/live
              keys: \(scratch.path)/keys
              state: \(scratch.path)/state
              upstreams:
                crm: \(upstream)
            \(more.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n"))

            """
        let read = GatewayFile.read(Array(text.utf8), path: "\(scratch.path)/gateway.yaml")
        let file = try #require(read.file, "\(read.findings)")
        let keys = KeyShelf()
        let secrets = SecretShelf(file.credentials.mapValues { $0.map(\.value) })
        let server = self.server
        let time = self.time
        let clock: @Sendable () -> Int64 = { time.now }
        gate = Gate(
            Gate.Parts(
                file: file,
                admission: Admission(file, keys: keys),
                keys: keys,
                live: LiveSource(
                    live: file.live.value,
                    keys: file.keys.value,
                    owner: nil,
                    maxAge: file.maxAge,
                    state: file.state.value,
                    patience: .zero
                ),
                runs: try RunBook(state: file.state.value) { clock() / 1_000_000 },
                record: log,
                approvals: desk,
                pins: pins,
                flights: try FlightFolder(state: file.state.value) { SHA256.hex(of: Array($0.text.utf8)) },
                upstreams: UpstreamDesk(file.upstreams, secrets: secrets, sandbox: "/usr/bin/bwrap") { _, filled, _ in
                    server.secrets.withLock { $0 = filled }
                    return server
                },
                secrets: secrets,
                spans: file.telemetry.map { SpanWriter(folder: $0.value, environment: "prod") },
                usage: usage,
                clock: clock
            )
        )
    }

    // MARK: Publishing

    func sign(_ members: JSONObject, _ entry: Int64) -> [UInt8] {
        LiveProof.sign(members, entry: entry) { SSHSignature.sign($0, key: key, namespace: LiveProof.namespace) }
    }

    /// Makes bundles live, each with its weight.
    @discardableResult
    func publish(_ bundles: [(Bundle, Int64)], entry number: Int64? = nil) throws -> [Digest] {
        let number =
            number
            ?? entry.withLock { entry in
                entry += 1
                return entry
            }
        var targets: [Route.Target] = []
        for (bundle, weight) in bundles {
            let digest = Compiler.digest(of: bundle.bytes)
            try scratch.write("live/\(LivePath.bundle(digest))", bytes: bundle.bytes)
            targets.append(Route.Target(version: bundle.version, digest: digest, weight: weight))
        }
        let phase: Route.Phase = targets.isEmpty ? .halted : targets.count > 1 ? .canary : .stable
        let route = Route(agent: Self.agent, environment: environment, phase: phase, targets: targets)
        try scratch.write("live/\(LivePath.route(Self.agent))", bytes: sign(route.json.object ?? [:], number))
        try header(number)
        return targets.map(\.digest)
    }

    func publish(_ bundle: Bundle) throws { try publish([(bundle, 100)]) }

    /// The bundle that a new run gets.
    func publishedDigest() -> Digest? {
        (try? gate.present(Self.agent, key: "r1", for: "a test"))?.digest
    }

    /// Makes a policy live in which one person of the agent's team may agree.
    func publishPolicy(_ change: (inout GatewayPolicy) -> Void = { _ in }) throws {
        var policy = GatewayPolicy(environment: environment)
        policy.teams["support"] = GatewayPolicy.Team(members: ["ada@example.com", "bob@example.com"])
        policy.approvers["ada@example.com"] = [GatewayPolicy.Key(key: "ssh-ed25519 AAAA")]
        policy.approvers["bob@example.com"] = [GatewayPolicy.Key(key: "ssh-ed25519 BBBB")]
        change(&policy)
        let number = entry.withLock { entry in
            entry += 1
            return entry
        }
        try scratch.write("live/\(LivePath.policy)", bytes: sign(policy.json.object ?? [:], number))
    }

    func header(_ entry: Int64, heard: Timestamp? = nil) throws {
        let id = try #require(ObjectID(String(repeating: "a", count: 40)))
        let header = LiveHeader(
            environment: environment,
            entry: id,
            sequence: entry,
            source: id,
            agents: 1,
            heard: heard
        )
        try scratch.write("live/\(LivePath.header)", bytes: sign(header.members, entry))
    }

    // MARK: Calling

    struct Answer {
        var value: JSONValue
        var reason: String? { value["_meta"]?["dev.ensign/reason"]?.string }
        var text: String { value["content"]?[0]?["text"]?.string ?? "" }
        var isError: Bool { value["isError"]?.bool ?? false }
    }

    var session: Session { Session(agent: Self.agent, run: RunName("r1", .header)) }

    func call(
        _ name: String = "crm__find",
        _ arguments: JSONValue = [:],
        run: String? = "r1",
        key: String? = nil,
        traceparent: String? = nil,
        cancellation: Cancellation = Cancellation(),
        progress: (@Sendable (JSONObject) -> Void)? = nil
    ) -> Answer {
        let session = Session(agent: Self.agent, run: run.map { RunName($0, .header) }, key: key)
        let call = IncomingCall(
            name: name,
            arguments: arguments,
            traceparent: traceparent,
            protocolVersion: "2025-11-25",
            cancellation: cancellation,
            progress: progress
        )
        return Answer(value: gate.call(call, in: session))
    }

    func pass(seconds: Int64) { time.pass(nanoseconds: seconds * 1_000_000_000) }
}

extension Gate {
    func offer(to session: Session) -> Result<[OfferedTool], Refusal> { offer(to: session, traceparent: nil) }
}

/// A bundle without limits of the run, whose operations take one number and change nothing.
func open(_ version: String = "1.0.0", _ change: (inout Bundle) -> Void = { _ in }) -> Bundle {
    bundle("support/triage", version) { bundle in
        bundle.limits = BundleLimits(
            run: RunLimits(steps: nil, tokens: nil, costUSD: nil, seconds: nil),
            costUSDPerDay: nil
        )
        bundle.tools[0].credentials = nil
        let input: JSONValue = [
            "type": "object",
            "properties": ["amount": ["type": "number", "maximum": 100], "customer": ["type": "string"]],
            "additionalProperties": false,
        ]
        bundle.tools[0].operations = [
            "find": operation(.read, .low, input: input), "update": operation(.write, .medium, input: input),
            "list": operation(.read, .low),
        ]
        change(&bundle)
    }
}

/// A clock that stands still until a test moves it.
final class StandingClock: Sendable {
    private let value = Mutex<Int64>(1_950_000_000_000_000_000)

    /// Nanoseconds since 1970.
    var now: Int64 { value.withLock { $0 } }

    func pass(nanoseconds: Int64) { value.withLock { $0 += nanoseconds } }
}

/// A decision log in memory.
final class MemoryLog: DecisionRecord, Sendable {
    let lines = Mutex<[Decision]>([])
    let isFull = Flag()

    func append(_ decision: Decision) throws(RecordFailure) -> Int64 {
        if isFull.isSet { throw RecordFailure("no space left") }
        return lines.withLock { lines in
            lines.append(decision)
            return Int64(lines.count)
        }
    }

    var kinds: [Decision.Kind] { lines.withLock { $0.map(\.kind) } }
    var last: Decision? { lines.withLock { $0.last } }
}

/// People who answer as a test says.
final class MemoryDesk: ApprovalDesk, Sendable {
    let trustsIssuers = false
    struct Contents {
        var answer: ApprovalState?
        /// Whose word is there, where the answer follows from who may agree.
        var agreed: Set<String>?
        var questions: [ApprovalQuestion] = []
        var used: Set<String> = []
        var ended: Set<String> = []
        /// What is answered once an approval was taken by somebody else.
        var answerToTheLate: ApprovalState?
    }

    let contents = Mutex(Contents())

    func ask(_ question: ApprovalQuestion, now: Timestamp) throws(RecordFailure) -> ApprovalState {
        contents.withLock { contents in
            contents.questions.append(question)
            if let agreed = contents.agreed, !agreed.isDisjoint(with: question.rule.people.keys) {
                return .granted(id: "a1", by: agreed.sorted())
            }
            return contents.answer ?? .pending(id: "a1", until: now.advanced(seconds: 600))
        }
    }

    func giveBack(id: String) throws(RecordFailure) { contents.withLock { _ = $0.used.remove(id) } }

    func end(id: String) throws(RecordFailure) { contents.withLock { _ = $0.ended.insert(id) } }

    func consume(id: String, now: Timestamp) throws(RecordFailure) -> Bool {
        contents.withLock { contents in
            if contents.used.insert(id).inserted { return true }
            contents.answer = contents.answerToTheLate ?? contents.answer
            return false
        }
    }
}

final class MemoryPins: PinBook, Sendable {
    private let kept = Mutex<[PinPlace: Digest]>([:])
    /// Operations whose files are damaged.
    let damaged = Mutex<Set<String>>([])

    func pinned(
        _ place: PinPlace,
        seen: Digest,
        isOther: (Digest) -> Bool
    ) throws(RecordFailure) -> (pin: Digest, isNew: Bool) {
        if damaged.withLock({ $0.contains(place.operation) }) { throw RecordFailure("it is damaged") }
        return kept.withLock { kept in
            if let digest = kept[place] { return (digest, false) }
            kept[place] = seen
            return (seen, true)
        }
    }

    var operations: [String] { kept.withLock { $0.keys.map(\.operation).sorted() } }
}

/// A server that records what it is sent and answers as a test says.
final class MemoryServer: Upstream, Sendable {
    struct Contents {
        var calls: [UpstreamCall] = []
        /// Runs when it is asked what it offers, and when it is called.
        var whenListing: @Sendable () -> Void = {}
        var whenCalled: @Sendable () -> Void = {}
        /// What it says of its progress before it answers.
        var progress: [JSONObject] = []
        var answers: [UpstreamOutcome] = []
        var listing = ServerListing(
            tools: ["find", "update", "list", "secret"].map { ServerListing.Tool(name: $0, input: ["type": "object"]) }
        )
        var listingFailure: UpstreamFailure?
        /// How long it had the last time.
        var listingTime: Duration?
        var startsNoMore = false
    }

    let contents = Mutex(Contents())
    let secrets = Mutex<UpstreamSecrets?>(nil)
    /// Calls wait until it is true.
    let gate = Condition(true)

    static let fine: JSONValue = ["content": [["type": "text", "text": "fine"]]]

    func listing(within time: Duration, waitsForStart: Bool) throws(UpstreamFailure) -> ServerListing {
        let (listing, failure, hook) = contents.withLock { contents in
            contents.listingTime = time
            return (contents.listing, contents.listingFailure, contents.whenListing)
        }
        hook()
        if let failure { throw failure }
        return listing
    }

    func call(_ call: UpstreamCall) -> UpstreamOutcome {
        // As at the start of a program, or with each request by HTTP.
        do throws(UpstreamFailure) { _ = try secrets.withLock { $0 }?() } catch { return .notSent(error) }
        let (outcome, hook, progress) = contents.withLock { contents in
            contents.calls.append(call)
            let outcome = contents.answers.isEmpty ? UpstreamOutcome.result(Self.fine) : contents.answers.removeFirst()
            return (outcome, contents.whenCalled, contents.progress)
        }
        hook()
        for said in progress { call.progress?(said) }
        let isAnswered = call.cancellation.whileWatching({ [gate] in gate.update { _ in } }) {
            gate.wait(until: nil) { $0 ? true : call.cancellation.isCancelled ? false : nil }
        }
        return isAnswered == true ? outcome : .unknown(UpstreamFailure(.cancelled, "nobody wants it"))
    }

    func end() {}

    func startNoMore() { contents.withLock { $0.startsNoMore = true } }

    var calls: [String] { contents.withLock { $0.calls.map { "\($0.tool) \($0.arguments.text)" } } }
    var last: UpstreamCall? { contents.withLock { $0.calls.last } }
    func answer(_ outcomes: UpstreamOutcome...) { contents.withLock { $0.answers = outcomes } }
}
