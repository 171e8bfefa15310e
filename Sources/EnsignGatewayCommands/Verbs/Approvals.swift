import EnsignCommandLine
import EnsignGateway
import EnsignJSON
import EnsignModel
import EnsignSystem

extension Verb {
    static let approvals = Verb(
        name: "approvals",
        group: .approve,
        summary: "List, show, sign and hand in answers to requests",
        discussion: """
            A call that needs a person is a request: a file that says all that would be done. Agreeing is a signature over \
            exactly that file by 'ssh-keygen -Y sign -n ensign-approval', denying the same in the namespace \
            ensign-denial. 'approve' and 'deny' show the request, sign with your key and hand the signature in; 'submit' \
            hands in a signature, or a token of an issuer (.jwt), that was made elsewhere. Speaks to a running gateway \
            over its socket; where the operator's file names none, on the state itself.
            """,
        arguments: [
            Argument(
                name: "WHAT",
                summary: "What to do",
                kind: .choice(["list", "show", "approve", "deny", "submit"])
            ),
            Argument(
                name: "ID",
                summary: "The request's id; for submit the file, <id>.sig or <id>.jwt",
                isRequired: false,
                kind: .file
            ),
        ],
        options: [
            .operatorFile,
            Option(
                name: "key",
                summary: "Sign with this key: a private key's file, or a public one whose private key an agent holds",
                value: "FILE",
                kind: .file
            ),
        ] + Option.places,
        formats: [.text, .json],
        examples: [
            Example(command: "ensign-gateway approvals list --config gateway.yaml", meaning: "what is waiting"),
            Example(
                command:
                    "ensign-gateway approvals approve 3f2a-9b1c04d2-1 --config gateway.yaml --key ~/.ssh/id_ed25519",
                meaning: "read it, sign it, hand it in"
            ),
            Example(
                command: "ensign-gateway approvals show 3f2a-9b1c04d2-1 --config gateway.yaml > 3f2a-9b1c04d2-1.json",
                meaning: "the file itself, to be signed by ssh-keygen wherever the key is"
            ),
        ]
    ) { invocation in
        let desk = try ApprovalsClient(invocation)
        let console = invocation.console
        let what = invocation.argument(0) ?? "list"
        if what == "list" {
            let answer = try desk.ask(.list)
            if invocation.format == .json {
                invocation.json(answer)
            } else {
                console.out(table(answer).render(console))
            }
            return .done
        }
        guard let word = invocation.argument(1) else {
            throw UsageError(message: "'approvals \(what)' needs the id of a request", verb: "approvals")
        }
        switch what {
        case "show":
            let answer = try desk.ask(.show(word))
            if invocation.format == .json { invocation.json(answer) } else { console.out(answer["file"]?.string ?? "") }
        case "submit": try handIn(try AnswerFile(word), desk, invocation)
        default: try handIn(try sign(word, denies: what == "deny", desk, invocation), desk, invocation)
        }
        return .done
    }

    private static func handIn(_ answer: AnswerFile, _ desk: ApprovalsClient, _ invocation: Invocation) throws {
        let result = try desk.ask(.submit(answer.id, answer: answer.text, isToken: answer.isToken))
        if invocation.format == .json { return invocation.json(result) }
        let agreed = result["answer"]?["agreed"]?.string.map { "\($0) agrees" }
        let denied = result["answer"]?["denied"]?.string.map { "\($0) denies" }
        invocation.console.line("\((agreed ?? denied ?? "answered").onOneLine): request \(answer.id)")
    }

    /// Signs the request that the gateway holds, after it was shown.
    private static func sign(
        _ id: String,
        denies: Bool,
        _ desk: ApprovalsClient,
        _ invocation: Invocation
    ) throws -> AnswerFile {
        guard let key = invocation["key"] else {
            throw UsageError(message: "'approvals \(denies ? "deny" : "approve")' needs --key FILE", verb: "approvals")
        }
        let answer = try desk.ask(.show(id))
        guard let file = answer["file"]?.string else { throw Failure(message: "the gateway sent no file for \(id)") }
        if !invocation.isQuiet { invocation.console.note(String(file.dropLast())) }
        let namespace = denies ? "ensign-denial" : "ensign-approval"
        let outcome = try Subprocess(
            "ssh-keygen",
            ["-Y", "sign", "-n", namespace, "-f", key],
            input: Array(file.utf8),
            deadline: .seconds(300)
        ).run()
        guard outcome.status == 0 else {
            let why = outcome.errorText.split(whereSeparator: \.isNewline).joined(separator: "; ")
            throw Failure(message: "ssh-keygen did not sign: \(why.onOneLine(utf8: 500))")
        }
        return AnswerFile(id: id, text: outcome.outputText, isToken: false)
    }

    private static func table(_ answer: JSONValue) -> TextTable {
        var table = TextTable(header: ["ID", "AGENT", "OPERATION", "NEEDS", "STATE", "ANSWERS", "UNTIL"])
        for request in answer["requests"]?.array ?? [] {
            func text(_ name: String) -> String { request[name]?.string?.onOneLine(utf8: 300) ?? "" }
            let answers = (request["answers"]?.array ?? []).map { answer in
                answer["agreed"]?.string.map { "\($0) agrees" } ?? answer["denied"]?.string.map { "\($0) denies" } ?? ""
            }
            table.rows.append([
                text("id"), text("agent"), text("operation"), text("needs"), text("state"),
                answers.isEmpty ? "-" : answers.joined(separator: ", ").onOneLine(utf8: 300), text("until"),
            ])
        }
        return table
    }
}

/// An answer that was made elsewhere.
private struct AnswerFile {
    var id: String
    var text: String
    var isToken: Bool

    init(id: String, text: String, isToken: Bool) { (self.id, self.text, self.isToken) = (id, text, isToken) }

    /// - Parameter path: `<id>.sig`, `<id>.json.sig` as ssh-keygen names it, `<id>.<n>.sig`, or `<id>.jwt`.
    init(_ path: String) throws {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let parts = name.split(separator: ".")
        guard parts.count >= 2, let suffix = parts.last, suffix == "sig" || suffix == "jwt" else {
            throw UsageError(message: "'\(name)' is neither <id>.sig nor <id>.jwt", verb: "approvals")
        }
        guard let bytes = try Files.read(path, limit: ApprovalFolder.mostBytes) else {
            throw Failure(message: "there is no file \(path)")
        }
        self.init(id: String(parts[0]), text: String(decoding: bytes, as: UTF8.self), isToken: suffix == "jwt")
    }
}

/// Whom the verb asks: a running gateway, or the state itself.
private struct ApprovalsClient {
    private enum Place {
        case socket(String)
        case state(Gateway)
    }

    private let place: Place

    init(_ invocation: Invocation) throws {
        let file = try OperatorFile(invocation).file
        if let socket = file.listen.socket {
            place = .socket(socket.value)
        } else {
            let speaker = Speaker(invocation.console)
            place = .state(try Gateway(file, version: GatewayApp.version) { speaker.say($0) })
        }
    }

    /// - Throws: ``Failure`` with what the gateway says where it refuses.
    func ask(_ question: ApprovalOffice.Question) throws -> JSONValue {
        let answer: JSONValue
        switch place {
        case .socket(let path): answer = try SocketConnector.ask(path, question.json)
        case .state(let gateway): answer = ApprovalOffice(gateway).answer(question)
        }
        if let message = answer["error"]?.string {
            throw Failure(message: message, hints: answer["hint"]?.string.map { [$0] } ?? [], code: .refused)
        }
        return answer
    }
}
