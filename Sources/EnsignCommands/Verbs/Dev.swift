import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignImport
import EnsignManifest
import EnsignModel
import EnsignReconciler
import EnsignSystem
import Glibc

extension Verb {
    static let dev = Verb(
        name: "dev",
        group: .ask,
        summary: "Try an agent through the gateway while its files are edited",
        discussion: """
            Compiles the agent from the work tree, and those that it may hand work to, into a live directory of this run, \
            signed by a key of this run, and prints how a client starts the gateway over it. Each save is compiled anew: \
            what is valid holds at the next call, what is not is shown and changes nothing. The operator's file is the \
            developer's own; it needs no 'live', 'keys' and 'state'. Where it says 'listen', the gateway is \
            started too. Ctrl-C ends all of it and leaves nothing; should it be killed, the gateway ends with it, and the next \
            'ensign dev' removes its folder. No ledger, no commit and no live directory of the \
            fleet is touched.
            """,
        arguments: [Argument(name: "AGENT", summary: "The agent, <team>/<agent>", kind: .agent)],
        options: [
            Option(
                name: "env",
                summary: "Name the environment; the first of the promotions if left out",
                value: "ENV",
                kind: .environment
            ),
            Option(
                name: "gateway",
                summary: "Name the operator's file; gateway.yaml beside fleet/ if left out",
                value: "FILE",
                kind: .file
            ),
            Option(
                name: "version",
                summary: "Take this version instead of the deployed one, such as next",
                value: "VERSION",
                kind: .version
            ),
        ],
        examples: [
            Example(command: "ensign dev support/refund-triage", meaning: "in dev, with gateway.yaml"),
            Example(
                command: "ensign dev support/refund-triage --env prod --version next --gateway ~/gateway.yaml",
                meaning: "what prod grants, for the version that is being written"
            ),
        ],
        output: .log
    ) { invocation in
        try DevCommand(invocation).run()
    }
}

/// One call of `dev`.
private struct DevCommand {
    let invocation: Invocation
    let compiler: WorkTreeCompiler
    /// The operator's file.
    let config: String
    /// Whether that wants a gateway to be reached at an address.
    let listens: Bool

    private var console: Console { invocation.console }

    init(_ invocation: Invocation) throws {
        self.invocation = invocation
        let site = try invocation.site()
        guard let workTree = site.repository.workTree else {
            throw Failure(message: "a bare repository has no work tree", hints: ["run it in a clone"], code: .usage)
        }
        var root = workTree
        while root.count > 1, root.hasSuffix("/") { root.removeLast() }
        let agent = try invocation.agent(0)
        let snapshots = try site.workTreeSnapshots(root)
        let fleet = Fleet(snapshot: try snapshots(), today: invocation.today)
        let environment = try invocation.developed(fleet)
        try invocation.requireDeployed(agent, environment, fleet)
        let version = try invocation.version("version")
        let versions = try fleet.agentVersions(agent)
        if let version, !versions.contains(version) {
            throw UsageError(
                message: "'\(agent)' has no version \(version)",
                hint: Suggestion.versions(versions.map(\.description)),
                verb: "dev"
            )
        }
        compiler = WorkTreeCompiler(
            path: root,
            environment: environment,
            agent: agent,
            version: version,
            snapshots: snapshots
        )
        config = try invocation.operatorFile(site, root)
        listens = Self.listens(config)
    }

    /// A file that cannot be read says nothing; the gateway's own reading says what is wrong with it.
    private static func listens(_ path: String) -> Bool {
        guard let bytes = try? Files.read(path, limit: 1 << 20), let value = try? ForeignDocument.read(bytes) else {
            return false
        }
        return value["spec"]?["listen"]?.object?.isEmpty == false
    }

    func run() throws -> ExitCode {
        // Threads and programs that are started from here on leave these signals to the one that waits for them.
        TerminationSignals.block()
        let service = try Service()
        // Ends with the process: it only waits for signals, and the process ends after the first.
        _ = try Thread {
            _ = TerminationSignals.wait()
            service.stop()
        }
        let folder = Machine.environment("TMPDIR").flatMap(Files.canonical) ?? "/tmp"
        let own = try DevelopedFolder(in: folder)
        defer { own.remove() }
        let place = own.path
        var loop = try DevelopmentLoop(compiler, place: place, service: service, console: console)
        let words =
            ["--config", config, "--live", "\(place)/live", "--keys", "\(place)/keys"]
            + ["--state", "\(place)/state"]
        let server = Server(words, file: config)
        defer { server.end() }
        guard try server.check() == 0 else {
            throw Failure(message: "the gateway does not serve with \(config)", code: .invalid)
        }
        try loop.run {
            let arguments = ["stdio"] + words + ["--agent", compiler.agent.description]
            let lines = ClientLines(program: server.program, arguments: arguments)
            console.out(lines.json.prettyBytes() + [0x0A])
            console.line(lines.shell)
            if listens { try server.start() }
            if !invocation.isQuiet { console.note("watching \(compiler.path); Ctrl-C ends it") }
        } turn: {
            try server.look()
        }
        return .done
    }
}

/// The gateway that listens, where the operator's file wants one.
private final class Server {
    let program: String
    private let words: [String]
    private let file: String
    private var running: RunningProgram?
    /// The operator's file as it was read last.
    private var status: FileStatus?

    init(_ words: [String], file: String) {
        let name = GatewayProgram.path
        // A client is started in another folder, and with another PATH.
        program = name.contains("/") ? Files.canonical(name) ?? name : name
        self.words = words
        self.file = file
        status = try? Files.status(file)
    }

    /// Has the gateway check the operator's file, and show what is wrong.
    ///
    /// - Returns: Its exit status.
    func check() throws -> Int32 {
        let outcome: RunningProgram
        do throws(SystemError) {
            outcome = try RunningProgram(program, ["check", "--no-servers"] + words)
        } catch {
            throw Failure(
                message: "cannot run \(program): \(error.reason)",
                hints: ["'make install' installs both programs"]
            )
        }
        while true {
            if let status = outcome.status { return status }
            Machine.pause(milliseconds: 5)
        }
    }

    func start() throws { running = try RunningProgram(program, ["serve"] + words) }

    /// Has a changed operator's file read again.
    ///
    /// - Throws: ``Failure`` when the gateway has ended by itself.
    func look() throws {
        let now = try? Files.status(file)
        if now != status { running?.send(SIGHUP) }
        status = now
        if let code = running?.status {
            throw Failure(message: "the gateway has ended with status \(code)")
        }
    }

    func end() { running?.end() }
}

extension Invocation {
    /// The environment of `--env`, else the first that others promote from.
    fileprivate func developed(_ fleet: Fleet) throws -> String {
        let known = try fleet.environmentNames()
        guard self["env"] != nil else {
            guard let first = try PromotionChain(fleet).order.first else {
                throw Failure(
                    message: "the work tree declares no environment",
                    hints: ["'ensign new env dev' starts one"]
                )
            }
            return first
        }
        let name = try environment()
        guard known.contains(name) else { throw ReconcileError.unknownEnvironment(name, known: known) }
        return name
    }

    fileprivate func requireDeployed(_ agent: AgentID, _ environment: String, _ fleet: Fleet) throws {
        if try fleet.deploys(agent, in: environment) { return }
        guard try fleet.declares(agent) else {
            throw UsageError(
                message: "there is no agent '\(agent)' in the work tree",
                hint: Set(try fleet.agents()).hint(for: agent),
                verb: verb.name
            )
        }
        let others = try fleet.environmentNames().filter { try fleet.deploys(agent, in: $0) }
        throw Failure(
            message: "'\(agent)' is not deployed in \(environment)",
            hints: others.isEmpty
                ? ["'ensign new deployment \(agent) --env \(environment)' writes one"]
                : ["it is in \(others.joined(separator: ", ")): --env \(others[0])"]
        )
    }

    /// The path of the operator's file.
    ///
    /// One that is committed came with the repository: it says which programs run here, so only whoever names it takes it.
    fileprivate func operatorFile(_ site: Site, _ root: String) throws -> String {
        if let name = self["gateway"] {
            guard let path = Files.canonical(name) else { throw Failure(message: "there is no file \(name)") }
            return path
        }
        guard let path = Files.canonical("\(root)/gateway.yaml") else {
            throw Failure(
                message: "there is no operator's file \(root)/gateway.yaml",
                hints: [
                    "it says which programs are behind the tools: spec: {upstreams: {TOOL: {command: [/path/of/server]}}}",
                    "name another one with --gateway FILE; docs/gateway.md describes it",
                ]
            )
        }
        let tree = try (try? site.repository.commit(named: "HEAD")).map { try site.repository.commit($0).tree }
        if let tree, try site.repository.entry(at: "gateway.yaml", in: tree) != nil {
            throw Refusal(
                message: "gateway.yaml is committed: whoever can push would decide which programs run here",
                hints: ["if you mean it, name it: --gateway \(path)"]
            )
        }
        return path
    }
}
