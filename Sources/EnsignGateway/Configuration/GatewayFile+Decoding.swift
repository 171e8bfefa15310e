import EnsignManifest
package import EnsignModel
import EnsignSystem

extension GatewayFile {
    /// The most bytes of a file.
    package static let maxBytes = 1 << 20

    /// Reads a file, with all that is wrong in it. What it names on this machine is not looked at:
    /// ``Surroundings/findings(of:)``.
    ///
    /// - Parameter places: What counts in place of the file's own; the file need not have those.
    /// - Returns: No value where an error makes it useless.
    package static func read(
        _ bytes: [UInt8],
        path: String,
        places: Places = Places()
    ) -> (file: GatewayFile?, findings: [Finding]) {
        var document = OperatorDocument(bytes, path: path, kind: places.relaxing(kind))
        func place(_ name: StaticString) -> Located<String>? {
            places["\(name)"].map { Located($0, at: .start) } ?? document.spec?.located(name)
        }
        guard let spec = document.spec, let live = place("live"), let keys = place("keys"), let state = place("state")
        else { return (nil, document.findings) }
        var file = GatewayFile(path: path, live: live, keys: keys, state: state)
        file.owner = spec.located("owner")
        file.maxAge = spec.duration("maxAge")
        if let listen = spec.record("listen") { file.listen = Listen(listen) }
        for record in spec.records("agents") { file.add(agent: record, &document) }
        file.asked = spec.records("asked").compactMap { IssuerLine($0) }
        for (name, record) in spec.entries("upstreams") {
            file.upstreams[name.value] = UpstreamLine(record, tool: name, &document)
        }
        for (scheme, record) in spec.entries("credentials") {
            let words = record.texts("command")
            checkProgram(words, "the command of '\(scheme.value)'", &document)
            file.credentials[scheme.value] = words
        }
        if let approvals = spec.record("approvals") {
            if let wait = approvals.duration("wait") { file.approvals.wait = wait.seconds }
            file.approvals.notify = approvals.texts("notify")
            file.approvals.issuers = approvals.records("issuers").compactMap { IssuerLine($0) }
            checkProgram(file.approvals.notify, "notify", &document)
        }
        if let limits = spec.record("limits") { file.limits = Limits(limits) }
        file.telemetry = spec.located("telemetry")
        file.usage = spec.located("usage")
        file.output = spec.choice("output") ?? .strict
        file.pins = spec.choice("pins") ?? .strict
        file.keep = spec.duration("keep") ?? TimeSpan("180d") ?? file.keep
        file.anchors = spec.textLists("anchors")
        for words in file.anchors { checkProgram(words, "an anchor", &document) }
        file.check(&document)
        return (document.hasErrors ? nil : file, document.findings)
    }

    private mutating func add(agent record: Record, _ document: inout OperatorDocument) {
        guard let agent = record.text("agent").flatMap({ AgentID($0) }) else { return }
        var proofs: [AgentLine.Proof] = []
        if let digest = record.text("tokenSHA256").flatMap({ Digest(hex: $0) }) { proofs.append(.token(digest)) }
        if let uid = record.integer("uid"), let number = UInt32(exactly: uid) { proofs.append(.account(number)) }
        if let jwt = record.record("jwt"), let line = IssuerLine(jwt), let subject = jwt.text("subject") {
            proofs.append(.jwt(line, subject: subject))
        }
        guard proofs.count == 1, let proof = proofs.first else {
            guard !document.hasErrors || proofs.count > 1 else { return }
            return document.add(
                "not-one-of",
                "\(agent) must be proven by exactly one of: tokenSHA256, uid, jwt",
                at: record.position,
                hint: proofs.isEmpty ? nil : "write a second line for the same agent"
            )
        }
        let principal = record.text("principal")
        agents.append(AgentLine(agent: agent, proof: proof, principal: principal, position: record.position))
    }

    static func checkProgram(_ words: [Located<String>], _ name: String, _ document: inout OperatorDocument) {
        guard let program = words.first, !program.value.hasPrefix("/") else { return }
        document.add(
            "invalid-value",
            "\(name) must begin with the absolute path of a program, and this is '\(program.value.cut(utf8: 100))'",
            at: program.position,
            hint: "no search path decides what runs here: write where it is"
        )
    }
}

extension GatewayFile.Listen {
    fileprivate init(_ record: Record) {
        http = record.text("http").flatMap { ListenAddress($0) }
        socket = record.located("socket")
        if let inner = record.record("https"), let address = inner.text("address").flatMap({ ListenAddress($0) }),
            let certificate = inner.located("certificate"), let key = inner.located("key")
        {
            https = Encrypted(
                address: address,
                certificate: certificate,
                key: key,
                clientCA: inner.located("clientCA")
            )
        }
    }
}

extension GatewayFile.IssuerLine {
    fileprivate init?(_ record: Record) {
        guard let issuer = record.text("issuer"), let audience = record.text("audience"),
            let keys = record.located("keys")
        else { return nil }
        self.init(issuer: issuer, audience: audience, keys: keys)
    }
}

extension GatewayFile.Limits {
    fileprivate init(_ record: Record) {
        repeatedCalls = record.integer("repeatedCalls")
        refusals = record.integer("refusals")
        callsInFlight = record.integer("callsInFlight") ?? callsInFlight
        stepsPerMinute = record.integer("stepsPerMinute")
        runsPerHour = record.integer("runsPerHour")
    }
}

extension GatewayFile.UpstreamLine {
    fileprivate init?(_ record: Record, tool: Located<String>, _ document: inout OperatorDocument) {
        let words = record.texts("command")
        let url = record.located("url")
        guard words.isEmpty != (url == nil) else {
            if !document.hasErrors || !words.isEmpty {
                document.add("not-one-of", "\(tool.value) must have exactly one of: command, url", at: tool.position)
            }
            return nil
        }
        references = record.texts("references")
        position = tool.position
        if let url {
            address = .web(url: url, headers: record.textEntries("headers"))
            for name in Self.ofPrograms where record.has(name) {
                document.add(
                    "unknown-field",
                    "\(tool.value): '\(name)' is for a program, and this is a URL",
                    at: tool.position
                )
            }
        } else {
            var program = Program(words: words)
            program.sha256 = record.located("sha256")
            program.user = record.located("user")
            program.directory = record.located("directory")
            if let most = record.duration("startTimeout") {
                if !GatewayFile.startTimeouts.contains(most.milliseconds) {
                    document.add(
                        "out-of-range",
                        "\(tool.value): startTimeout must be from 1s to 10m",
                        at: record.located("startTimeout")?.position ?? tool.position
                    )
                }
                program.startTimeout = .milliseconds(most.milliseconds)
            }
            program.environment = record.textEntries("env")
            if let inner = record.record("sandbox") {
                program.sandbox = Sandbox(
                    read: inner.texts("read"),
                    write: inner.texts("write"),
                    network: inner.boolean("network") ?? false
                )
            }
            address = .program(program)
            GatewayFile.checkProgram(words, tool.value, &document)
            if record.has("headers") {
                document.add(
                    "unknown-field",
                    "\(tool.value): 'headers' are for a URL, and this is a program",
                    at: tool.position
                )
            }
        }
    }

    private static let ofPrograms = ["sha256", "user", "directory", "startTimeout", "sandbox", "env"]
}
