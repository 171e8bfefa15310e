import EnsignCrypto
import EnsignModel
import EnsignPolicy
import EnsignSystem
import EnsignTestSupport
import Glibc
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("Requests to people")
struct ApprovalFolderTests {
    private let scratch: ScratchDirectory
    private let log = MemoryLog()
    private let said = Said()
    private let now = Timestamp(seconds: Machine.now)

    init() throws { scratch = try ScratchDirectory() }

    private func desk(_ rule: ApprovalRule? = nil) throws -> ApprovalFolder {
        try ApprovalFolder(
            StateFolder("\(scratch.path)/state"),
            wait: 600,
            log: log,
            rule: { _ in rule },
            record: { _ in [JSONPointer("/amount")].compactMap { $0 } },
            say: { [said] text in said.texts.withLock { $0.append(text) } }
        )
    }

    private static let ada = SSHPrivateKey(seed: [UInt8](repeating: 3, count: 32))

    /// What lets Ada agree.
    private func adas(asking: Set<String> = []) -> ApprovalRule {
        var policy = GatewayPolicy(environment: "prod")
        policy.teams["support"] = GatewayPolicy.Team(members: ["ada@example.com"])
        policy.approvers["ada@example.com"] = [GatewayPolicy.Key(key: Self.ada.publicKey.line)]
        let bundle = open { $0.tools[0].operations["update"]?.approval = .manager }
        return ApprovalRule(bundle, tool: "crm", operation: "update", policy: policy, asking: asking)
    }

    /// Hands in what Ada has signed.
    private func sign(_ id: String, _ desk: ApprovalFolder, denies: Bool = false, isSaid: Bool = false) throws {
        let request = try #require(try desk.request(id))
        let namespace = denies ? GatewayPolicy.denialNamespace : GatewayPolicy.namespace
        let signature = SSHSignature.sign(request.bytes, key: Self.ada, namespace: namespace)
        let person = ApprovalRule.Signature(principal: "ada@example.com", key: Self.ada.publicKey.line)
        let answer: ApprovalAnswer = denies ? .denied(person) : .agreed(person)
        _ = try desk.submit(Array(signature.utf8), isToken: false, to: id, saying: isSaid ? answer : nil)
    }

    private func question(_ arguments: JSONValue) throws -> ApprovalQuestion {
        let bundle = open { $0.tools[0].operations["update"]?.approval = .manager }
        return ApprovalQuestion(
            agent: GateFixture.agent,
            environment: "prod",
            version: bundle.version,
            bundle: try #require(Digest(hex: String(repeating: "a", count: 64))),
            operation: "crm.update",
            arguments: arguments,
            run: RunName("r", .header),
            needed: .manager,
            rule: ApprovalRule(bundle, tool: "crm", operation: "update", policy: nil)
        )
    }

    private func isPending(_ state: ApprovalState) -> Bool { if case .pending = state { true } else { false } }

    private var requests: [String] {
        get throws { try Files.list("\(scratch.path)/state/approvals/requests") ?? [] }
    }

    @Test("Nobody is asked to read more than 256 KiB, and nothing of it is kept")
    func long() throws {
        let desk = try desk()
        let text = JSONValue.string(String(repeating: "x", count: ApprovalFolder.mostAsked))
        #expect(try desk.ask(question(["note": text]), now: now) == .tooLong(most: 262_144))
        #expect(try requests.isEmpty && log.kinds.isEmpty)
        let shorter = JSONValue.string(String(repeating: "x", count: ApprovalFolder.mostAsked - 2_000))
        #expect(try isPending(desk.ask(question(["note": shorter]), now: now)))
    }

    @Test("What cannot be put on record is not asked, and takes no approval: the next one asks, tells and takes it")
    func unrecorded() throws {
        let told = Mutex<[String]>([])
        func desk(_ log: MemoryLog) throws -> ApprovalFolder {
            try ApprovalFolder(
                StateFolder("\(scratch.path)/state"),
                wait: 600,
                log: log,
                notify: { request in told.withLock { $0.append(request.id) } }
            )
        }
        let full = MemoryLog()
        full.isFull.set()
        let (failing, desk) = (try desk(full), try desk(log))
        #expect(throws: RecordFailure.self) { try failing.ask(question(["amount": 1]), now: now) }
        #expect(try requests.isEmpty && told.withLock { $0.isEmpty })
        guard case .pending(let id, _, _) = try desk.ask(question(["amount": 1]), now: now) else {
            Issue.record("it is not asked")
            return
        }
        #expect(told.withLock { $0 } == [id] && log.kinds == [.approval])
        #expect(throws: RecordFailure.self) { try failing.consume(id: id, now: now) }
        #expect(try !desk.isUsed(id) && desk.consume(id: id, now: now) && !desk.consume(id: id, now: now))
        try desk.giveBack(id: id)
        #expect(try desk.consume(id: id, now: now))
    }

    @Test("What is open is listed in the order in which it was asked, however its names are")
    func order() throws {
        let desk = try desk()
        var asked: [String] = []
        for second in Int64(0)..<6 {
            let state = try desk.ask(question(["amount": .integer(second)]), now: now.advanced(seconds: second))
            if case .pending(let id, _, _) = state { asked.append(id) }
        }
        #expect(asked != asked.sorted())
        #expect(try desk.open(now: now.advanced(seconds: 6)).map(\.id) == asked)
    }

    @Test("One that was made while the clock was ahead is not open, takes no place, and is good for nothing")
    func ahead() throws {
        let desk = try desk()
        let later = now.advanced(seconds: 365 * 86_400)
        for amount in Int64(0)..<8 {
            #expect(try isPending(desk.ask(question(["amount": .integer(amount)]), now: later)))
        }
        guard case .pending(let old, _, _) = try desk.ask(question(["amount": 0]), now: later),
            case .pending(let new, _, _) = try desk.ask(question(["amount": 0]), now: now)
        else {
            Issue.record("it is not asked")
            return
        }
        #expect(old != new)
    }

    @Test("Eight are open at a time; those of days before are not even read")
    func most() throws {
        let desk = try desk()
        for amount in Int64(0)..<8 {
            #expect(try isPending(desk.ask(question(["amount": .integer(amount)]), now: now)))
        }
        #expect(try desk.ask(question(["amount": 8]), now: now) == .tooMany(most: 8))
        // The same question is the same request.
        #expect(try isPending(desk.ask(question(["amount": 3]), now: now)))
        // Long over by the time of its file: what is in it is not looked at.
        let name = try #require(try requests.first)
        let file = "\(scratch.path)/state/approvals/requests/\(name)"
        var times = [timespec](repeating: timespec(tv_sec: Int(now.seconds - 700), tv_nsec: 0), count: 2)
        #expect(unsafe utimensat(AT_FDCWD, file, &times, 0) == 0)
        #expect(try isPending(desk.ask(question(["amount": 8]), now: now)))
        // By its own word, too.
        #expect(try isPending(desk.ask(question(["amount": 9]), now: now.advanced(seconds: 601))))
    }

    @Test("What was denied takes no place any more, whether or not it is asked for again")
    func deniedPlace() throws {
        let desk = try desk(adas())
        for amount in Int64(0)..<8 {
            guard case .pending(let id, _, _) = try desk.ask(question(["amount": .integer(amount)]), now: now) else {
                return #expect(Bool(false), "it is not asked")
            }
            if amount < 7 { try sign(id, desk, denies: true) }
        }
        for amount in Int64(8)..<15 {
            #expect(try isPending(desk.ask(question(["amount": .integer(amount)]), now: now)))
        }
        #expect(try desk.ask(question(["amount": 15]), now: now) == .tooMany(most: 8))
        var denied = try question(["amount": 1])
        denied.rule = adas()
        guard case .denied = try desk.ask(denied, now: now) else { return #expect(Bool(false), "it is not denied") }
    }

    @Test("What the same call has replaced takes no place: another rule, another bundle", arguments: [true, false])
    func replacedPlace(_ isOtherRule: Bool) throws {
        let desk = try desk()
        for amount in Int64(0)..<8 {
            #expect(try isPending(desk.ask(question(["amount": .integer(amount)]), now: now)))
        }
        func asked(_ amount: Int64) throws -> ApprovalState {
            var question = try question(["amount": .integer(amount)])
            if isOtherRule {
                question.needed = .dual
            } else {
                question.bundle = try #require(Digest(hex: String(repeating: "b", count: 64)))
            }
            return try desk.ask(question, now: now.advanced(seconds: 1))
        }
        for amount in Int64(0)..<8 { #expect(try isPending(asked(amount))) }
        #expect(try asked(8) == .tooMany(most: 8), "each of them waits once")
        var other = try question(["amount": 0])
        other.run = RunName("r2", .header)
        #expect(try desk.ask(other, now: now) == .tooMany(most: 8), "another run's call is another one")
    }

    @Test("Who asked for a call is part of the request: their own word counts neither there nor elsewhere")
    func asker() throws {
        let desk = try desk()
        func ask(_ asker: Asker?) throws -> ApprovalState {
            var question = try question(["amount": 1])
            question.rule = adas(asking: asker?.principals ?? [])
            question.asker = asker
            return try desk.ask(question, now: now)
        }
        let person = Asker(issuer: "https://idp.example.com", subject: "u1", email: "ADA@example.com")
        guard case .pending(let id, _, _) = try ask(person) else { return #expect(Bool(false)) }
        #expect(try desk.request(id)?.askers == [person])
        try sign(id, desk)
        #expect(try isPending(ask(person)))
        guard case .pending(let other, _, _) = try ask(nil) else {
            return #expect(Bool(false), "their own word counts")
        }
        #expect(try other != id && desk.request(other)?.askers == [])
        try sign(other, desk)
        #expect(try ask(nil) == .granted(id: other, by: ["ada@example.com"]))
        #expect(try isPending(ask(person)))
    }

    @Test("What is handed in is written down then, once, whoever reads it later", arguments: [true, false])
    func said(_ denies: Bool) throws {
        let desk = try desk(adas())
        var question = try question(["amount": 7])
        question.rule = adas()
        guard case .pending(let id, _, _) = try desk.ask(question, now: now) else { return #expect(Bool(false)) }
        for _ in 0..<2 { try sign(id, desk, denies: denies, isSaid: true) }
        let word = denies ? "denied" : "agreed"
        #expect(log.lines.withLock { $0.map(\.note) } == ["asked", word])
        let line = try #require(log.last)
        #expect(line.approval?.id == id && line.approval?.by == ["ada@example.com"] && line.agent == question.agent)
        #expect(line.version == question.version && line.bundle == question.bundle && line.bareRun == "r")
        #expect(line.operation == "crm.update" && line.arguments == ["amount": 7] && line.run == nil)
        // The next call by this process, and one by another.
        for desk in [desk, try self.desk(adas())] { _ = try desk.ask(question, now: now) }
        #expect(log.kinds.count == 2)
        try desk.tidy(now: now.advanced(seconds: 8 * 86_400))
        #expect(try Files.list("\(scratch.path)/state/approvals/said") == [])
    }

    @Test("What is no file is no answer, and stops nobody", arguments: ["folder", "pipe", "device", "circle"])
    func noFile(_ kind: String) throws {
        let desk = try desk(adas())
        func put(_ path: String) throws {
            let path = "\(scratch.path)/state/approvals/\(path)"
            switch kind {
            case "folder": try Files.makeDirectories(path)
            case "pipe": #expect(unsafe mkfifo(path, 0o600) == 0)
            case "device": #expect(unsafe symlink("/dev/zero", path) == 0)
            default: #expect(unsafe symlink(path, path) == 0)
            }
        }
        var question = try question(["amount": 1])
        question.rule = adas()
        guard case .pending(let id, _, _) = try desk.ask(question, now: now) else { return #expect(Bool(false)) }
        try put("granted/\(id).1.sig")
        try put("granted/\(id).2.jwt")
        try put("requests/\(id.dropLast())9.json")
        for _ in 0..<2 { #expect(try isPending(desk.ask(question, now: now)) && desk.open(now: now).map(\.id) == [id]) }
        #expect(said.all.count == 3, "\(said.all)")
        #expect(said.all.allSatisfy { $0.hasSuffix("is no file, and is passed over") })
        // Others find a place beside it, and count.
        try sign(id, desk)
        #expect(try desk.ask(question, now: now) == .granted(id: id, by: ["ada@example.com"]))
        try desk.tidy(now: now.advanced(seconds: 8 * 86_400))
        #expect(try desk.request(id) == nil)
    }

    @Test(
        "What somebody wrote into a request's file is not the gateway's question: it is good for nothing, and is asked anew",
        arguments: ["amount", "until", "nonce", "mayHaveHappened", "old"]
    )
    func changed(what: String) throws {
        let desk = try desk(adas())
        guard case .pending(let id, _, _) = try desk.ask(question(["amount": 7]), now: now) else {
            return #expect(Bool(false))
        }
        var request = try #require(try desk.request(id))
        #expect(desk.isOwn(request))
        switch what {
        case "amount": request.asked["arguments"] = ["amount": 8]
        case "until": request.until = request.until.advanced(seconds: 86_400)
        case "nonce": request.nonce = String(repeating: "0", count: 64)
        case "mayHaveHappened": request.mayHaveHappened = id
        // As gateways before this one made it.
        default: request.nonce = String(request.nonce.prefix(32))
        }
        try Files.replace("\(scratch.path)/state/approvals/requests/\(id).json", with: request.bytes, mode: 0o600)
        #expect(try desk.request(id) == request && !desk.isOwn(request))
        try sign(id, desk)
        var again = try question(["amount": 7])
        again.rule = adas()
        guard case .pending(let other, _, _) = try desk.ask(again, now: now) else { return #expect(Bool(false)) }
        #expect(try other != id && !desk.consume(id: id, now: now))
    }

    @Test("Requests that somebody has changed take nobody's place")
    func changedPlaces() throws {
        let desk = try desk(adas())
        for amount in Int64(0)..<20 {
            guard case .pending(let id, _, _) = try desk.ask(question(["amount": .integer(amount)]), now: now) else {
                return #expect(Bool(false), "\(amount)")
            }
            var request = try #require(try desk.request(id))
            request.until = request.until.advanced(seconds: 60)
            try Files.replace("\(scratch.path)/state/approvals/requests/\(id).json", with: request.bytes, mode: 0o600)
        }
    }

    @Test("Each line about a request has what the grant keeps in clear")
    func recorded() throws {
        let desk = try desk(adas())
        var question = try question(["amount": 7, "note": "secret"])
        question.rule = adas()
        guard case .pending(let id, _, _) = try desk.ask(question, now: now) else { return #expect(Bool(false)) }
        try sign(id, desk)
        #expect(try desk.ask(question, now: now) == .granted(id: id, by: ["ada@example.com"]))
        #expect(try desk.consume(id: id, now: now))
        let lines = log.lines.withLock { $0 }
        #expect(lines.map(\.note) == ["asked", "agreed", "used"])
        for line in lines { #expect(line.recorded.map(\.pointer) == ["/amount"] && line.recorded.map(\.value) == [7]) }
    }

    @Test("Whoever is asked again for a call of which nobody knows what came reads so; not where that is known")
    func mayHaveHappened() throws {
        let desk = try desk()
        func ask() throws -> (id: String, earlier: String?) {
            guard case .pending(let id, _, let earlier) = try desk.ask(question(["amount": 1]), now: now) else {
                throw RecordFailure("nobody is asked")
            }
            #expect(try desk.request(id)?.mayHaveHappened == earlier)
            return (id, earlier)
        }
        let first = try ask()
        #expect(try first.earlier == nil && desk.consume(id: first.id, now: now))
        let second = try ask()
        #expect(try second.earlier == first.id && ask() == second, "the same request as before")
        #expect(try desk.consume(id: second.id, now: now))
        try desk.end(id: second.id)
        let third = try ask()
        #expect(third.earlier == first.id, "what came of the second says nothing of the first")
        #expect(try isPending(desk.ask(question(["amount": 2]), now: now)))
        // As gateways before this one wrote it.
        _ = try desk.consume(id: third.id, now: now)
        try Files.replace("\(scratch.path)/state/approvals/used/\(third.id)", with: Array("\(now)\n".utf8))
        let fourth = try ask()
        #expect(fourth.earlier == first.id)
        // Of several the newest.
        #expect(try desk.consume(id: fourth.id, now: now) && ask().earlier == fourth.id)
    }

    @Test("Of two that take one approval at once one gets it")
    func race() throws {
        let desk = try desk()
        guard case .pending(let id, _, _) = try desk.ask(question(["amount": 1]), now: now) else { return }
        let won = Condition(0)
        let threads = try (0..<8).map { _ in
            try Thread { if (try? desk.consume(id: id, now: now)) == true { won.update { $0 += 1 } } }
        }
        for thread in threads { thread.join() }
        #expect(won.withLock { $0 } == 1)
        #expect(try !desk.consume(id: "../\(id)", now: now))
        #expect(try !desk.consume(id: id, now: now.advanced(seconds: 700)))
    }
}
