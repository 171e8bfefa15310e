package import EnsignModel
import EnsignPolicy
import EnsignSystem

/// What people ask of open requests, and what they answer: the same by the socket and on the state itself.
///
/// Whether an answer counts is said when it is given, and decided again when the call comes, by what is live then.
package struct ApprovalOffice: Sendable {
    private let gateway: Gateway

    package init(_ gateway: Gateway) { self.gateway = gateway }

    private var approvers: PresentApprovers {
        PresentApprovers(live: gateway.live, admission: gateway.admission)
    }

    /// A question of the command line.
    package enum Question: Sendable, Hashable {
        case list
        case show(String)
        case submit(String, answer: String, isToken: Bool)

        package init?(_ json: JSONObject) {
            let id = json["id"]?.string
            switch json["verb"]?.string {
            case "approvals/list": self = .list
            case "approvals/show":
                guard let id else { return nil }
                self = .show(id)
            case "approvals/submit":
                guard let id, let answer = json["answer"]?.string, let isToken = json["token"]?.bool else { return nil }
                self = .submit(id, answer: answer, isToken: isToken)
            default: return nil
            }
        }

        package var json: JSONObject {
            switch self {
            case .list: ["verb": "approvals/list"]
            case .show(let id): ["verb": "approvals/show", "id": .string(id)]
            case .submit(let id, let answer, let isToken):
                ["verb": "approvals/submit", "id": .string(id), "answer": .string(answer), "token": .bool(isToken)]
            }
        }
    }

    /// Answers a question that came over the socket.
    ///
    /// - Parameter uid: Who asks: an agent's account gets no answer, since it would agree to its own calls.
    package func answer(_ json: JSONObject, uid: UInt32) -> JSONValue {
        let isAgent = gateway.file.agents.contains { line in
            if case .account(uid) = line.proof { return true }
            return false
        }
        guard !isAgent || uid == Machine.effectiveUserID || uid == 0 else {
            return Self.error("this account is an agent's: it sees no requests and agrees to none")
        }
        guard let question = Question(json) else { return Self.error("this question is not understood here") }
        return answer(question)
    }

    package func answer(_ question: Question) -> JSONValue {
        do throws(RecordFailure) {
            switch question {
            case .list: return try list()
            case .show(let id): return try show(id)
            case .submit(let id, let answer, let isToken): return try submit(id, Array(answer.utf8), isToken)
            }
        } catch {
            return Self.error(error.message)
        }
    }

    static func error(_ message: String, hint: String? = nil) -> JSONValue {
        var members: JSONObject = ["error": .string(message.onOneLine(utf8: 1_000))]
        members["hint"] = hint.map(JSONValue.string)
        return .object(members)
    }

    private static func changed(_ id: String) -> JSONValue {
        let hint = "look at who can write there; where the call is made again, people are asked by a new request"
        let text = "the file of request \(id) was changed: it is not what the gateway asks, and nobody agrees to it"
        return error(text, hint: hint)
    }

    private var now: Timestamp { Timestamp(seconds: Machine.now) }

    // MARK: Answers

    private func list() throws(RecordFailure) -> JSONValue {
        var entries: [JSONValue] = []
        for request in try gateway.approvals.open(now: now) { entries.append(try summary(request)) }
        return ["v": 1, "requests": .array(entries)]
    }

    private func show(_ id: String) throws(RecordFailure) -> JSONValue {
        guard let request = try gateway.approvals.request(id) else { return Self.error("there is no request \(id)") }
        guard gateway.approvals.isOwn(request) else { return Self.changed(id) }
        guard var members = try summary(request).object else { return Self.error("there is no request \(id)") }
        members["v"] = 1
        members["file"] = .string(String(decoding: request.bytes, as: UTF8.self))
        members["sha256"] = .string(request.digest.description)
        return .object(members)
    }

    private func summary(_ request: ApprovalRequest) throws(RecordFailure) -> JSONValue {
        let rule = approvers.rule(of: request)
        let answers = try rule.map { rule throws(RecordFailure) in
            try gateway.approvals.answers(to: request, rule, now)
        }
        let state = try state(request)
        let isDenied = state == "open" && (answers ?? []).contains(where: \.isDenial)
        var members: JSONObject = [
            "id": .string(request.id), "agent": request.asked["agent"] ?? .null,
            "operation": .string(request.operation), "needs": .string(request.needs),
            "requested": .string(request.requested.description), "until": .string(request.until.description),
            "answers": .array((answers ?? []).map(\.json)),
            "state": .string(isDenied ? "denied" : state),
        ]
        for name in ["environment", "version", "bundle", "run", "for", "alsoFor"] {
            members[name] = request.asked[name]
        }
        members["mayHaveHappened"] = request.mayHaveHappened.map(JSONValue.string)
        if let rule {
            members["mayAgree"] = .array(rule.everyone.union(rule.people.keys).sorted().map(JSONValue.string))
        }
        return .object(members)
    }

    /// Whether it may still be answered: what is denied may be denied by others, too.
    private func state(_ request: ApprovalRequest) throws(RecordFailure) -> String {
        if try gateway.approvals.isUsed(request.id) { return "used" }
        guard gateway.approvals.isOwn(request) else { return "changed" }
        return request.isGood(at: now) ? "open" : "expired"
    }

    private func submit(_ id: String, _ answer: [UInt8], _ isToken: Bool) throws(RecordFailure) -> JSONValue {
        guard answer.count <= ApprovalFolder.mostBytes else { return Self.error("the answer is too long") }
        guard let request = try gateway.approvals.request(id) else {
            let hint = "the file's name says which request: ID.sig or ID.jwt, with the ID of 'approvals list'"
            return Self.error("there is no request \(id)", hint: hint)
        }
        guard gateway.approvals.isOwn(request) else { return Self.changed(id) }
        let state = try state(request)
        guard state == "open" else { return Self.error("request \(id) is \(state): nothing can be answered any more") }
        guard let rule = approvers.rule(of: request) else {
            return Self.error("nobody can say who may agree to it now: the live directory cannot be read")
        }
        switch gateway.approvals.read(answer, isToken: isToken, request, rule, now) {
        case .failure(.nobody):
            return Self.error("\(refusal(ofNobody: answer, isToken, request))")
        case .failure(let refusal): return Self.error("\(refusal)")
        case .success(let read):
            let given = try gateway.approvals.answers(to: request, rule, now)
            if case .agreed = read, let denial = given.first(where: \.isDenial) {
                let text = "request \(id) is denied already, by \(denial.principal): an approval changes nothing"
                return Self.error(text)
            }
            // The same person says the same only once: nobody fills the place of others.
            guard !given.contains(read) else {
                return ["v": 1, "id": .string(id), "file": .null, "answer": read.json]
            }
            let name = try gateway.approvals.submit(answer, isToken: isToken, to: id, saying: read)
            return ["v": 1, "id": .string(id), "file": .string(name), "answer": read.json]
        }
    }

    /// Why an answer does not count that nobody gave who may: most often that is all, but whoever asked for the call is told so.
    private func refusal(
        ofNobody answer: [UInt8],
        _ isToken: Bool,
        _ request: ApprovalRequest
    ) -> ApprovalAnswer.Refusal {
        guard !request.askers.isEmpty, let rule = approvers.rule(of: request, countsAsker: true),
            case .success(let read) = gateway.approvals.read(answer, isToken: isToken, request, rule, now)
        else { return .nobody }
        return .asker(read.principal)
    }
}

extension ApprovalAnswer {
    var json: JSONValue {
        var members: JSONObject = [isDenial ? "denied" : "agreed": .string(principal)]
        if let account {
            members["account"] = ["issuer": .string(account.issuer), "subject": .string(account.subject)]
        }
        return .object(members)
    }
}
