import EnsignCrypto
package import EnsignModel
package import EnsignPolicy
import EnsignSystem
import Glibc
import Synchronization

/// Requests to people and their answers, as files of the state folder.
///
/// ```
/// approvals/requests/<id>.json       what is asked (ApprovalRequest)
/// approvals/granted/<id>.<n>.sig     what was answered: ssh-keygen's signature; or .jwt, a token of an issuer
/// approvals/used/<id>                taken by a call; its presence alone counts. Its second line, `sent` or `ended`: whether anybody
///                                    knows what came of the call
/// approvals/said/<id>.<answer>       its line is in the log
/// ```
///
/// Safe from any number of threads and processes: one lock, and files that appear complete.
package final class ApprovalFolder: ApprovalDesk {
    /// The most requests of one agent that wait for people.
    package static let mostOpen = 8
    /// The most answers that are read for one request.
    static let mostAnswers = 256
    /// The most bytes of a request: it is read by people, kept for days, and each call may leave one.
    package static let mostAsked = 262_144
    /// The most bytes of an answer.
    package static let mostBytes = 32_768
    /// How long files are kept after their request ended, in seconds.
    static let keptFor: Int64 = 7 * 86_400

    private let path: String
    private let secret: LogSecret
    private let wait: Int64
    private let issuers: @Sendable () -> [TokenIssuer]
    package let trustsIssuers: Bool
    private let log: any DecisionRecord
    private let notify: @Sendable (ApprovalRequest) -> Void
    private let rule: @Sendable (ApprovalRequest) -> ApprovalRule?
    private let record: @Sendable (ApprovalRequest) -> [JSONPointer]
    private let say: @Sendable (String) -> Void
    /// What is no file, of which something was said.
    private let passedOver = Mutex<Set<String>>([])

    /// Names of which something is said.
    private static let mostSaid = 100

    /// - Parameters:
    ///   - wait: How long a request is good, in seconds.
    ///   - issuers: Whose tokens count like a signature; nil where no token does.
    ///   - rule: Who may agree to a request now; nil where nobody can say.
    ///   - record: The places of a request's arguments whose values the log keeps in clear.
    ///   - notify: Tells people of a new request; must not block.
    ///   - say: Says something to the operator.
    package init(
        _ state: StateFolder,
        wait: Int64,
        issuers: (@Sendable () -> [TokenIssuer])? = nil,
        log: any DecisionRecord,
        rule: @escaping @Sendable (ApprovalRequest) -> ApprovalRule? = { _ in nil },
        record: @escaping @Sendable (ApprovalRequest) -> [JSONPointer] = { _ in [] },
        notify: @escaping @Sendable (ApprovalRequest) -> Void = { _ in },
        say: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(RecordFailure) {
        path = try state.folder("approvals")
        secret = try state.logSecret()
        for name in ["requests", "granted", "used", "said"] { _ = try state.folder("approvals/\(name)") }
        self.wait = wait
        self.issuers = issuers ?? { [] }
        trustsIssuers = issuers != nil
        self.log = log
        self.rule = rule
        self.record = record
        self.notify = notify
        self.say = say
    }

    // MARK: Asking

    package func ask(_ question: ApprovalQuestion, now: Timestamp) throws(RecordFailure) -> ApprovalState {
        let (state, isNew) = try locked { () throws(RecordFailure) -> (ApprovalState, ApprovalRequest?) in
            let prefix = ApprovalRequest.prefix(of: question)
            let names = try self.names().filter { $0.hasPrefix(ApprovalRequest.prefix(of: question.agent)) }
            var last = 0
            var used: [(number: Int, id: String)] = []
            for name in names.filter({ $0.hasPrefix(prefix) }) {
                let number = Int(name.dropFirst(prefix.count)) ?? 0
                last = max(last, number)
                // The question's own bytes: what is in the folder is not believed.
                guard let request = try self.request(name), request.asked == ApprovalRequest.asked(question) else {
                    continue
                }
                guard try !self.isUsed(name) else {
                    used.append((number, name))
                    continue
                }
                guard request.isGood(at: now), isOwn(request) else { continue }
                return (try self.state(of: request, question, now), nil)
            }
            guard try self.waiting(names, besides: question, now) < Self.mostOpen else {
                return (.tooMany(most: Self.mostOpen), nil)
            }
            var request = ApprovalRequest(
                question,
                id: "\(prefix)\(last + 1)",
                nonce: Hex.encode(Randomness.bytes(16)),
                requested: now,
                until: now.advanced(seconds: self.wait),
                mayHaveHappened: try self.mayHaveHappened(used.sorted { $0.number > $1.number }.map(\.id))
            )
            request.seal(by: self.secret)
            guard request.bytes.count <= Self.mostAsked else { return (.tooLong(most: Self.mostAsked), nil) }
            // First: a request that is there is asked for, and nobody is told of it again.
            _ = try self.log.append(self.decision(about: request, "asked", by: [], run: question.run))
            try self.write(request)
            return (Self.pending(request), request)
        }
        if let isNew { notify(isNew) }
        return state
    }

    private static func pending(_ request: ApprovalRequest) -> ApprovalState {
        .pending(id: request.id, until: request.until, mayHaveHappened: request.mayHaveHappened)
    }

    private func state(of request: ApprovalRequest, _ question: ApprovalQuestion, _ now: Timestamp)
        throws(RecordFailure) -> ApprovalState
    {
        let answers = try answers(to: request, question.rule, now)
        if let denial = answers.first(where: \.isDenial) {
            try say(denial, about: request, run: question.run)
            return .denied(id: request.id, by: denial.principal, until: request.until)
        }
        var signatures: [ApprovalRule.Signature] = []
        for answer in answers {
            try say(answer, about: request, run: question.run)
            if case .agreed(let signature) = answer { signatures.append(signature) }
        }
        guard question.rule.isFulfilled(by: signatures, at: now) else {
            return Self.pending(request)
        }
        return .granted(id: request.id, by: Set(signatures.map(\.principal)).sorted())
    }

    /// What counts of the files beside a request, oldest name first.
    func answers(to request: ApprovalRequest, _ rule: ApprovalRule, _ now: Timestamp)
        throws(RecordFailure) -> [ApprovalAnswer]
    {
        let folder = "\(path)/granted"
        var answers: [ApprovalAnswer] = []
        for name in try answerFiles(request.id).prefix(Self.mostAnswers) {
            guard let bytes = try contents("\(folder)/\(name)", limit: Self.mostBytes) else { continue }
            if case .success(let answer) = read(bytes, isToken: name.hasSuffix(".jwt"), request, rule, now) {
                answers.append(answer)
            }
        }
        return answers
    }

    func read(
        _ bytes: [UInt8],
        isToken: Bool,
        _ request: ApprovalRequest,
        _ rule: ApprovalRule,
        _ now: Timestamp
    ) -> Result<ApprovalAnswer, ApprovalAnswer.Refusal> {
        isToken
            ? ApprovalAnswer.read(token: bytes, over: request, rule: rule, issuers: issuers(), now: now)
            : ApprovalAnswer.read(signature: bytes, over: request, rule: rule, now: now)
    }

    // MARK: Using

    package func consume(id: String, now: Timestamp) throws(RecordFailure) -> Bool {
        guard ApprovalRequest.isID(id), let request = try request(id), request.isGood(at: now), isOwn(request) else {
            return false
        }
        let file = "\(path)/used/\(id)"
        let bytes = Array("\(now)\n\(Self.sent)\n".utf8)
        // Durable before the call is sent: a second call never finds it unused.
        guard try recording({ try Files.create(file, with: bytes, mode: 0o600) }) else { return false }
        do throws(RecordFailure) { _ = try log.append(decision(about: request, "used", by: [])) } catch {
            try giveBack(id: id)
            throw error
        }
        return true
    }

    package func giveBack(id: String) throws(RecordFailure) {
        guard ApprovalRequest.isID(id) else { return }
        // Not synced: what is lost with the machine's power is an approval, not its one use.
        try recording { try Files.remove("\(path)/used/\(id)") }
    }

    private static let sent = "sent"

    package func end(id: String) throws(RecordFailure) {
        let file = "\(path)/used/\(id)"
        guard ApprovalRequest.isID(id), let lines = try usedLines(id), lines.count == 2 else { return }
        // What is lost with the machine's power is a call of which too much is said, not too little.
        try recording { try Files.replace(file, with: Array("\(lines[0])\nended\n".utf8), mode: 0o600, durable: false) }
    }

    /// The first of these requests whose call was taken without anybody knowing what came of it: that another one of the same
    /// call ended after it takes nothing from that.
    private func mayHaveHappened(_ used: [String]) throws(RecordFailure) -> String? {
        for id in used where try usedLines(id)?.last == Self.sent { return id }
        return nil
    }

    private func usedLines(_ id: String) throws(RecordFailure) -> [String]? {
        try recording { try Files.readOwn("\(path)/used/\(id)", limit: 256) }
            .map { String(decoding: $0, as: UTF8.self).split(separator: "\n").map(String.init) }
    }

    // MARK: For approvers

    /// The requests that are open: neither over nor used.
    package func open(now: Timestamp) throws(RecordFailure) -> [ApprovalRequest] {
        var open: [ApprovalRequest] = []
        for name in try names() {
            guard let request = try request(name), request.isGood(at: now), try !isUsed(name) else { continue }
            open.append(request)
        }
        return open.sorted { ($0.requested, $0.id) < ($1.requested, $1.id) }
    }

    /// A request by its name; nil where there is none that is readable.
    package func request(_ id: String) throws(RecordFailure) -> ApprovalRequest? {
        guard ApprovalRequest.isID(id) else { return nil }
        let bytes = try contents("\(path)/requests/\(id).json", limit: 8 << 20)
        return bytes.flatMap(ApprovalRequest.init).flatMap { $0.id == id ? $0 : nil }
    }

    /// Whether this gateway has made a request as its file says it: nobody is to agree to what somebody wrote into the folder.
    package func isOwn(_ request: ApprovalRequest) -> Bool { request.isSealed(by: secret) }

    package func isUsed(_ id: String) throws(RecordFailure) -> Bool {
        try recording { try Files.status("\(path)/used/\(id)") } != nil
    }

    /// Puts an answer beside its request. Whether it counts is decided when the call comes, by what is live then.
    ///
    /// - Parameter saying: What it says by what is live now, which is written down first; nil for nobody knows.
    /// - Returns: The name of its file; the same one for the same answer.
    package func submit(
        _ answer: [UInt8],
        isToken: Bool,
        to id: String,
        saying: ApprovalAnswer? = nil
    ) throws(RecordFailure) -> String {
        try locked { () throws(RecordFailure) in
            if let saying, let request = try self.request(id) { try self.say(saying, about: request) }
            let folder = "\(self.path)/granted"
            let suffix = isToken ? "jwt" : "sig"
            for number in 1...Self.mostAnswers {
                let name = "\(id).\(number).\(suffix)"
                if try recording({ try Files.create("\(folder)/\(name)", with: answer, mode: 0o600) }) { return name }
                if try self.contents("\(folder)/\(name)", limit: Self.mostBytes) == answer { return name }
            }
            throw RecordFailure("request \(id) has \(Self.mostAnswers) answers already")
        }
    }

    /// Removes the files of requests that ended long ago.
    package func tidy(now: Timestamp) throws(RecordFailure) {
        try locked { () throws(RecordFailure) in
            for name in try self.names() {
                guard let request = try self.request(name), now.seconds(since: request.until) > Self.keptFor else {
                    continue
                }
                let answers = try self.answerFiles(name)
                try recording {
                    for said in try Files.list("\(self.path)/said") ?? [] where said.hasPrefix("\(name).") {
                        try Files.remove("\(self.path)/said/\(said)")
                    }
                    for answer in answers {
                        let file = "\(self.path)/granted/\(answer)"
                        // A folder is nothing that this gateway has put there.
                        if try Files.status(file)?.kind != .directory { try Files.remove(file) }
                    }
                    // The request first: what is used without one is harmless, and not the other way round.
                    try Files.remove("\(self.path)/requests/\(name).json")
                    try Files.remove("\(self.path)/used/\(name)")
                }
            }
        }
    }

    // MARK: Files

    /// A file's bytes; nil where there is none, one too large, or something else of that name (a folder, a pipe, a device): that
    /// stops nobody, and is said once.
    private func contents(_ file: String, limit: Int) throws(RecordFailure) -> [UInt8]? {
        do throws(SystemError) { return try Files.readOwn(file, limit: limit) } catch {
            guard [EINVAL, EISDIR, ELOOP, ENODEV, ENXIO].contains(error.code) else { throw RecordFailure("\(error)") }
            let isNew = passedOver.withLock { $0.count < Self.mostSaid && $0.insert(file).inserted }
            if isNew { say("\(file) is no file, and is passed over") }
            return nil
        }
    }

    private func names() throws(RecordFailure) -> [String] {
        try recording { try Files.list("\(path)/requests") ?? [] }
            .filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.filter(ApprovalRequest.isID)
    }

    private func answerFiles(_ id: String) throws(RecordFailure) -> [String] {
        try recording { try Files.list("\(path)/granted") ?? [] }.filter { $0.hasPrefix("\(id).") }
    }

    /// How many other calls of an agent wait for people: each by its newest request, which has replaced those before it, unless
    /// that is used, denied or over. Those of days before are not read: that they are over follows from when they were written.
    private func waiting(_ names: [String], besides question: ApprovalQuestion, _ now: Timestamp)
        throws(RecordFailure) -> Int
    {
        var newest: [JSONValue: ApprovalRequest] = [:]
        let over = (now.seconds - wait - 60).multipliedReportingOverflow(by: 1_000_000_000)
        for name in names {
            if !over.overflow, let status = try recording({ try Files.status("\(path)/requests/\(name).json") }),
                status.modified < over.partialValue
            {
                continue
            }
            // What was changed asks nobody, and nobody could answer it.
            guard let request = try request(name), request.agent == question.agent, request.isGood(at: now),
                isOwn(request)
            else { continue }
            let before = newest[request.call]
            if before.map({ $0.requested <= request.requested }) ?? true { newest[request.call] = request }
        }
        newest[ApprovalRequest.call(in: ApprovalRequest.asked(question))] = nil
        var waiting: [ApprovalRequest] = []
        for request in newest.values where try !isUsed(request.id) { waiting.append(request) }
        guard waiting.count >= Self.mostOpen else { return waiting.count }
        var count = 0
        // Signatures are looked at only where it matters.
        for request in waiting where try !isDenied(request, now) { count += 1 }
        return count
    }

    private func isDenied(_ request: ApprovalRequest, _ now: Timestamp) throws(RecordFailure) -> Bool {
        guard try !answerFiles(request.id).isEmpty, let rule = rule(request) else { return false }
        return try answers(to: request, rule, now).contains(where: \.isDenial)
    }

    private func write(_ request: ApprovalRequest) throws(RecordFailure) {
        let file = "\(path)/requests/\(request.id).json"
        guard try recording({ try Files.create(file, with: request.bytes, mode: 0o600) }) else {
            throw RecordFailure("\(file) is there, and is not a request")
        }
    }

    private func locked<Value>(_ body: () throws(RecordFailure) -> Value) throws(RecordFailure) -> Value {
        let lock = try recording { try FileLock("\(path)/lock", timeout: .seconds(10)) }
        let value = try body()
        _ = consume lock
        return value
    }

    // MARK: Saying

    /// Writes an answer that counts into the log, once: whichever process reads it first. Only under the lock.
    ///
    /// - Parameter run: As whoever makes the call says it; nil where nobody makes it now.
    private func say(_ answer: ApprovalAnswer, about request: ApprovalRequest, run: RunName? = nil)
        throws(RecordFailure)
    {
        let note = answer.isDenial ? "denied" : "agreed"
        // Two accounts that speak for one person are two answers.
        let who = [answer.principal] + (answer.account.map { [$0.issuer, $0.subject] } ?? [])
        let name = "\(request.id).\(note)-\(SHA256.hex(of: Array(who.joined(separator: "\n").utf8)).prefix(16))"
        let file = "\(path)/said/\(name)"
        guard try recording({ try Files.status(file) }) == nil else { return }
        var decision = decision(about: request, note, by: [answer.principal], run: run)
        decision.approvingAccount = answer.account
        _ = try log.append(decision)
        // Twice, where a process dies in between, is better than never.
        _ = try recording { try Files.create(file, with: [], mode: 0o600) }
    }

    private func decision(
        about request: ApprovalRequest,
        _ note: String,
        by: [String],
        run: RunName? = nil
    ) -> Decision {
        let arguments = request.asked["arguments"]
        var decision = Decision(.approval, agent: request.agent)
        decision.version = request.asked["version"]?.string.flatMap { AgentVersion($0) }
        decision.bundle = request.asked["bundle"]?.string.flatMap { Digest($0) }
        decision.operation = request.operation
        decision.arguments = arguments
        decision.run = run
        decision.bareRun = request.asked["run"]?.string
        decision.recorded = arguments.map(record(request).recorded(of:)) ?? []
        decision.approval = (request.id, by)
        decision.note = note
        return decision
    }
}
