import EnsignCommandLine
import EnsignImport
import EnsignJSON
import EnsignMCP
import EnsignManifest
import EnsignModel
import EnsignPolicy
import EnsignSystem

/// `import mcp`: from a server that runs, from what one has answered, or from a configuration's servers.
struct ServerImport {
    let invocation: Invocation

    init(_ invocation: Invocation) { self.invocation = invocation }

    func run() throws -> ExitCode {
        let sources = ["command", "url", "from", "client-config"].filter { invocation.has($0) }
        guard sources.count == 1, let source = sources.first else {
            throw UsageError(
                message: "name one source: --command, --url, --from or --client-config",
                verb: invocation.verb.name
            )
        }
        let destination = try ToolDestination(invocation)
        if source == "client-config" { return try configured(destination) }
        guard let name = invocation.argument(1) else {
            throw UsageError(message: "'import mcp' needs the NAME of the tool", verb: invocation.verb.name)
        }
        try requireName(name)
        try destination.requireOwner(of: name)
        return invocation.show([try named(name, source, destination)])
    }

    private func requireName(_ name: String) throws {
        guard Name.isValid(name) else {
            throw UsageError(
                message: "\(name.quoted(utf8: 70)) is not a name: \(Name.rule)",
                verb: invocation.verb.name
            )
        }
    }

    // MARK: One server

    private func named(_ name: String, _ source: String, _ destination: ToolDestination) throws -> ImportOutcome {
        switch source {
        case "command":
            let words = try CommandWords.split(invocation["command"] ?? "")
            let passed = Dictionary(
                invocation.all("pass-env").compactMap { name in Machine.environment(name).map { (name, $0) } }
            ) { first, _ in first }
            return try bring(
                name,
                destination,
                server: ["mcp": ["command": .array(words.map { .string($0) })]],
                holding: HeldSecrets(words: words, environment: passed)
            ) {
                () throws(MCPError) in try StdioTransport(words, environment: environment([:]))
            }
        case "url":
            let url = invocation["url"] ?? ""
            let headers = try invocation.all("header").map(Self.header)
            return try bring(
                name,
                destination,
                server: ["mcp": ["url": .string(url)]],
                holding: HeldSecrets(words: [url], headers: headers)
            ) {
                () throws(MCPError) in try HTTPTransport(url, headers: headers)
            }
        default:
            let file = invocation["from"] ?? ""
            let bytes = try file == "-" ? Console.readInput() : read(file)
            do { _ = try JSONParser.parse(foreign: bytes) } catch {
                throw Failure(
                    message: "\(file):\(error.line):\(error.column): it is not JSON: \(error.message)",
                    code: .invalid
                )
            }
            do throws(MCPError) {
                let listing = try ServerListing(answer: bytes)
                var outcome = try bring(listing, name, destination, server: nil, holding: HeldSecrets())
                outcome.place(in: file, bytes) { subject in
                    if let index = listing.unread.keys.first(where: { Self.element($0) == subject }) {
                        return listing.pointer + ["\(index)"]
                    }
                    return listing.tools.firstIndex { $0.name == subject }
                        .map { listing.pointer + ["\(listing.index(ofTool: $0))", "name"] }
                }
                return outcome
            } catch {
                throw Failure(message: "\(file): \(error.description)", code: .invalid)
            }
        }
    }

    private func read(_ file: String) throws -> [UInt8] {
        guard let bytes = try Files.read(file, limit: 64 << 20) else {
            throw Failure(message: "there is no file '\(file)'")
        }
        return bytes
    }

    /// What a server that runs gets of this environment.
    private func environment(_ own: [String: String]) -> [String: String] {
        var variables: [String: String] = [:]
        for name in StdioTransport.inherited + invocation.all("pass-env") {
            if let value = Machine.environment(name) { variables[name] = value }
        }
        return variables.merging(own) { _, new in new }
    }

    private static func header(_ text: String) throws -> (name: String, value: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw UsageError(message: "a header is 'NAME: VALUE'", verb: "import") }
        return (String(parts[0]), String(parts[1].drop { $0 == " " }))
    }

    private func budget() throws -> MCPBudget {
        guard let text = invocation["timeout"] else { return MCPBudget() }
        guard let seconds = Int(text), (1...3_600).contains(seconds) else {
            throw UsageError(message: "--timeout is 1 to 3600 seconds", verb: invocation.verb.name)
        }
        return MCPBudget(time: .seconds(seconds))
    }

    /// Asks a server, and brings its tool to what it says. A server that cannot be asked is an outcome, not the end.
    private func bring(
        _ name: String,
        _ destination: ToolDestination,
        server: JSONValue,
        holding secrets: HeldSecrets,
        _ open: () throws(MCPError) -> any MCPTransport
    ) throws -> ImportOutcome {
        let budget = try budget()
        do throws(MCPError) {
            let listing = try MCPClient.listing(open, budget: budget, version: App.version)
            return try bring(listing, name, destination, server: server, holding: secrets)
        } catch {
            var outcome = ImportOutcome(name: name, path: nil, state: .failed)
            outcome.failure = LiteralSecrets.hidden(secrets.hidden(error.description))
            outcome.said = error.said.split(separator: "\n").suffix(6).map {
                LiteralSecrets.hidden(secrets.hidden(String($0)))
            }
            return outcome
        }
    }

    private func bring(
        _ listing: ServerListing,
        _ name: String,
        _ destination: ToolDestination,
        server: JSONValue?,
        holding secrets: HeldSecrets
    ) throws(MCPError) -> ImportOutcome {
        let telling = listing.tools.filter { secrets.isIn($0) }
        let offered = listing.tools.filter { !secrets.isIn($0) }.map { tool in
            var operation = tool
            operation.pin = ToolPin.digest(name: tool.name, input: tool.input, output: tool.output)
            return operation
        }
        let own = secrets.isIn(listing.name) ? "" : listing.name.onOneLine(utf8: 80)
        do {
            var outcome = try destination.bring(
                name,
                offered,
                version: secrets.isIn(listing.version) ? nil : listing.version?.onOneLine(utf8: 80),
                origin: own.isEmpty ? "an MCP server" : "the MCP server '\(own)'",
                description: own.isEmpty ? nil : "The MCP server \(own).",
                server: server
            )
            outcome.decisions += listing.unread.sorted { $0.key < $1.key }.prefix(ImportOutcome.shown).map {
                ImportDecision(.leftOut, Self.element($0.key), $0.value)
            }
            outcome.decisions += telling.map { tool in
                let why = "it says a secret again that the server was given"
                return ImportDecision(.leftOut, secrets.hidden(tool.name), why)
            }
            return outcome
        } catch let failure as Failure {
            var outcome = ImportOutcome(name: name, path: nil, state: .failed)
            outcome.failure = failure.message
            outcome.hints = failure.hints.filter { !$0.isEmpty }
            return outcome
        } catch {
            var outcome = ImportOutcome(name: name, path: nil, state: .failed)
            let explanation = Explanation(error)
            outcome.failure = explanation.message
            outcome.hints = explanation.hints
            return outcome
        }
    }

    /// What an element of the server's list is called that has no name.
    private static func element(_ index: Int) -> String { "tools[\(index)]" }

    // MARK: A configuration's servers

    private func configured(_ destination: ToolDestination) throws -> ExitCode {
        let file = invocation["client-config"] ?? ""
        let only = invocation.argument(1)
        let configuration = try ClientConfiguration(try read(file), file: file, only: only)
        // Whoever names one means it.
        let off = only == nil ? configuration.servers.filter(\.isOff) : []
        guard invocation.has("run") else {
            for server in configuration.servers {
                invocation.console.line("\(server.name): \(server.words)\(server.isOff ? " (disabled)" : "")")
            }
            for entry in configuration.odd { invocation.console.note("ensign: warning: \(entry.why)") }
            throw UsageError(
                message: "nothing is started or asked unless the command line says so: add --run",
                hint: "ensign import mcp NAME --client-config \(file) --run takes one server",
                verb: invocation.verb.name
            )
        }
        for server in off where !invocation.isQuiet && invocation.format == .text {
            invocation.console.note("\(server.name): disabled in \(file), so it is left alone; its NAME takes it")
        }
        let wanted = configuration.servers.filter { only != nil || !$0.isOff }
        for server in wanted { try destination.requireOwner(of: server.name) }
        var outcomes = try wanted.map { try ask($0, destination) }
        for entry in configuration.odd {
            var outcome = ImportOutcome(name: entry.name.onOneLine(utf8: 70), path: nil, state: .failed)
            outcome.failure = entry.why
            outcomes.append(outcome)
        }
        return invocation.show(outcomes)
    }

    private func ask(_ server: ConfiguredServer, _ destination: ToolDestination) throws -> ImportOutcome {
        var variables = ServerVariables { Machine.environment($0) }
        let filled = server.filled(&variables)
        guard variables.missing.isEmpty else {
            var outcome = ImportOutcome(name: server.name, path: nil, state: .failed)
            outcome.failure = "it cannot be started or asked without \(variables.missing.joined(separator: "; "))"
            return outcome
        }
        let secrets = HeldSecrets(
            words: filled.url.map { [$0] } ?? filled.command,
            environment: filled.environment,
            headers: filled.headers
        )
        var outcome = try bring(server.name, destination, server: server.manifest, holding: secrets) {
            () throws(MCPError) in
            if let url = filled.url { return try HTTPTransport(url, headers: filled.headers) }
            return try StdioTransport(
                filled.command,
                environment: environment(filled.environment),
                directory: filled.directory
            )
        }
        if outcome.state != .failed { outcome.decisions += server.decisions }
        return outcome
    }
}
