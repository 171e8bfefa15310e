package import EnsignManifest
package import EnsignModel

extension GatewayFile {
    /// The JSON Schema that editors check a file with.
    package static var editorSchema: JSONValue { kind.editorSchema }

    /// The operator's file: checked, shown to editors and written up from this declaration.
    package static let kind = OperatorDocument.Kind(
        name: "Gateway",
        summary: "What a gateway enforces, for whom, and with which servers: the operator's, never from a repository.",
        spec: [
            Field(
                "live",
                "The live directory that it enforces; its environment is the gateway's.",
                .text(.place),
                required: true
            ),
            Field("keys", "The lines of `ensign keys`: whose routes count.", .text(.place), required: true),
            Field("state", "Its own folder, mode 0700: log, approvals, runs, pins.", .text(.place), required: true),
            Field(
                "upstreams",
                "Servers by the tool that they are of; a tool without a line is off.",
                .map(keys: .name, values: .record(upstream), count: 0...200),
                required: true
            ),
            Field(
                "owner",
                "The account that must own the live directory; else whoever owns it at start.",
                .text(.account)
            ),
            Field("maxAge", "Refuse all calls when nothing was heard of the host for so long.", .text(.duration)),
            Field("listen", "Where clients connect; `stdio` needs none.", .record(listen)),
            Field("agents", "Who may speak for which agent.", .list(.record(agent), count: 0...10_000)),
            Field("asked", "Whose tokens say who asked an agent.", .list(.record(issuer), count: 0...20)),
            Field(
                "credentials",
                "What reads secrets, by the scheme of their references.",
                .map(keys: .scheme, values: .record([command]), count: 0...50)
            ),
            Field("approvals", "How people are asked.", .record(approvals)),
            Field("limits", "What holds for each agent, whatever runs it names.", .record(limits)),
            Field("telemetry", "The folder for one `execute_tool` span of each call; none without it.", .text(.place)),
            Field("usage", "The folder of spans that say what runs have used, joined by `ensign.run`.", .text(.place)),
            Field(
                "output",
                "What becomes of a result whose structured content does not fit the operation's output schema.",
                .text(.oneOf(Strictness.self)),
                standard: "strict"
            ),
            Field(
                "pins",
                "What a changed definition of a server's tool stops: all calls, or with `reads` those that change something.",
                .text(.oneOf(PinRule.self)),
                standard: "strict"
            ),
            Field("keep", "How long decisions are kept.", .text(.duration), standard: "180d"),
            Field(
                "anchors",
                "Commands that get each signed head of the log on their standard input.",
                .list(.list(.text(.word), count: 1...100), count: 0...10)
            ),
        ]
    )

    private static let command = Field(
        "command",
        "The program, by its absolute path, and its arguments. No shell reads them.",
        .list(.text(.word), count: 1...100),
        required: true
    )

    private static let listen: [Field] = [
        Field("http", "An address of this machine and a port, for HTTP.", .text(.loopback)),
        Field("socket", "The path of a Unix socket.", .text(.place)),
        Field(
            "https",
            "For clients on other hosts.",
            .record([
                Field("address", "An address and a port.", .text(.address), required: true),
                Field(
                    "certificate",
                    "A PEM file with the certificate and what it leads to. A renewed one counts within ten seconds.",
                    .text(.place),
                    required: true
                ),
                Field("key", "A PEM file with its private key.", .text(.place), required: true),
                Field(
                    "clientCA",
                    "A PEM file: only clients with a certificate of its authorities are heard.",
                    .text(.place)
                ),
            ])
        ),
    ]

    private static let agent: [Field] = [
        Field("agent", "The agent, `<team>/<agent>`.", .text(.agent), required: true),
        Field("tokenSHA256", "The SHA-256 of the token that proves it (`Authorization: Bearer`).", .text(.sha256)),
        Field("uid", "The number of the account that proves it, on the socket.", .integer(0...4_294_967_294)),
        Field(
            "jwt",
            "The claims of a token that prove it.",
            .record([issuer[0], issuer[1], Field("subject", "Its `sub`.", .text(.line), required: true), issuer[2]])
        ),
        Field("principal", "The principal under which the agent signs: it never agrees to a call.", .text(.line)),
    ]

    private static let issuer: [Field] = [
        Field("issuer", "The token's `iss`.", .text(.line), required: true),
        Field("audience", "What its `aud` must name.", .text(.line), required: true),
        Field("keys", "A JSON Web Key Set of the issuer.", .text(.place), required: true),
    ]

    private static let upstream: [Field] = [
        Field("command", "The program, by its absolute path, and its arguments.", .list(.text(.word), count: 1...100)),
        Field("url", "Where it listens.", .text(.webAddress)),
        Field("sha256", "The SHA-256 that the program's file must have.", .text(.sha256)),
        Field("user", "The account that the program runs as.", .text(.account)),
        Field("directory", "The folder that the program is started in.", .text(.place)),
        Field(
            "startTimeout",
            "How long the program may take until it serves, at most ten minutes.",
            .text(.duration),
            standard: "30s"
        ),
        Field(
            "sandbox",
            "Run the program in bubblewrap, which shows it the system's programs and libraries, and what is named here.",
            .record([
                Field("read", "Files and folders that it may read.", .list(.text(.place), count: 0...100)),
                Field("write", "Files and folders that it may write, too.", .list(.text(.place), count: 0...100)),
                Field("network", "Whether it may use the network.", .boolean, standard: "false"),
            ])
        ),
        Field("references", "The credentials that it may get.", .list(.text(.credentials), count: 0...100)),
        Field(
            "env",
            "The program's environment; `{credentials}` becomes the secret.",
            .map(keys: .variable, values: .text(.template), count: 0...100)
        ),
        Field(
            "headers",
            "Sent with each request; `{credentials}` becomes the secret.",
            .map(keys: .header, values: .text(.template), count: 0...100)
        ),
    ]

    private static let approvals: [Field] = [
        Field("wait", "How long a request is good.", .text(.duration), standard: "10m"),
        Field("notify", "A command that gets each request on its standard input.", .list(.text(.word), count: 1...100)),
        Field("issuers", "Whose tokens count like a signature.", .list(.record(issuer), count: 0...20)),
    ]

    private static let count: ClosedRange<Int64> = 1...1_000_000_000

    private static let limits: [Field] = [
        Field("repeatedCalls", "The same call in a run, and by the agent within a minute.", .integer(count)),
        Field("refusals", "Refused calls in a run, and of the agent within a minute.", .integer(count)),
        Field("callsInFlight", "Calls at the same time.", .integer(1...10_000), standard: "64"),
        Field("stepsPerMinute", "Calls within a minute, refused ones too.", .integer(count)),
        Field("runsPerHour", "Runs that begin within an hour.", .integer(count)),
    ]
}

extension TextForm {
    /// A place on this machine that does not depend on where the program was started.
    fileprivate static let place = TextForm("an absolute path", pattern: "^/", maxBytes: 4_096) { text in
        if text.utf8.contains(0) || text.utf8.contains(0x0A) { return "is not a path" }
        guard text.hasPrefix("/") else { return "'\(text.cut(utf8: 100))' is not an absolute path: begin with '/'" }
        return text.split(separator: "/").contains("..") ? "must not have '..' in it" : nil
    }

    /// A word of a command.
    fileprivate static let word = TextForm("text", maxBytes: 4_096) { text in
        text.utf8.contains(0) ? "must not contain NUL" : nil
    }

    /// A value with `{credentials}` in it, or without.
    fileprivate static let template = TextForm("text", maxBytes: 4_096, takesAnyScalar: true) { text in
        text.utf8.contains { $0 == 0 || $0 == 0x0A || $0 == 0x0D } ? "must be one line" : nil
    }

    fileprivate static let account = TextForm(
        "an account",
        pattern: "^([a-z_][a-z0-9_-]*|[0-9]+)$",
        maxBytes: 32
    ) { text in
        let isName = text.utf8.allSatisfy { byte in
            switch byte {
            case 0x61...0x7A, 0x30...0x39, 0x2D, 0x5F: true
            default: false
            }
        }
        return isName && !text.hasPrefix("-") && !text.isEmpty
            ? nil : "'\(text)' is not an account: write its login name or its number"
    }

    fileprivate static let sha256 = TextForm("64 hexadecimal digits", pattern: "^[0-9a-f]{64}$") { text in
        Digest(hex: text) == nil
            ? "is not a SHA-256: write 64 hexadecimal digits in small letters, as sha256sum does" : nil
    }

    fileprivate static let scheme = TextForm("a scheme", pattern: "^[a-z][a-z0-9+.-]*$", maxBytes: 63) { text in
        TextForm.credentials.problem(of: "\(text):x") == nil ? nil : "'\(text)' is not a scheme, such as 'vault'"
    }

    fileprivate static let address = TextForm(
        "an address and a port",
        pattern: "^(\\[[0-9a-fA-F:]+\\]|[0-9.]+):[0-9]+$"
    ) { text in
        ListenAddress(text) == nil
            ? "'\(text)' is not an address and a port, such as 127.0.0.1:7411 or [::1]:7411" : nil
    }

    fileprivate static let loopback = TextForm("an address of this machine and a port", pattern: address.pattern) {
        text in
        guard let address = ListenAddress(text) else { return TextForm.address.problem(of: text) }
        return address.isLoopback
            ? nil : "'\(text)' can be reached from other hosts, in clear: write 127.0.0.1, or use https"
    }

    fileprivate static let webAddress = TextForm("a URL", pattern: "^https?://", maxBytes: 2_048) { text in
        guard let address = WebAddress(text) else {
            return
                "'\(text.cut(utf8: 100))' is not a URL such as https://crm.example.com/mcp, without a name or password in it"
        }
        return address.isEncrypted || address.isLoopback
            ? nil : "http to another host can be read and changed on the way: use https"
    }
}
