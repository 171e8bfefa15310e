import EnsignCommandLine
import EnsignManifest
import EnsignModel
import EnsignSystem
import EnsignTargets
import Glibc

/// Keeps a live directory as the work tree says, until it is stopped.
struct DevelopmentLoop {
    private let compiler: WorkTreeCompiler
    private let console: Console
    private let service: Service
    private let target: DirectoryTarget
    private let watch: WorkTreeWatch
    private var live: DevelopedLive
    /// What was said of the newest work tree, so that nothing is said twice.
    private var said: Set<Finding> = []
    private var trouble: String?
    private var heard = ContinuousClock.now

    /// - Parameter place: The folder of this run, for this account alone.
    init(_ compiler: WorkTreeCompiler, place: String, service: Service, console: Console) throws {
        self.compiler = compiler
        self.console = console
        self.service = service
        target = DirectoryTarget(path: "\(place)/live")
        watch = WorkTreeWatch(root: compiler.path, environment: compiler.environment, service)
        live = DevelopedLive(environment: compiler.environment)
        try Files.replace("\(place)/keys", with: live.keys, mode: 0o600, durable: false)
        // An environment in which nobody is live, until something valid was read: the gateway knows then what it is.
        if let publication = live.publish(DevelopedState(), heard: now) { try self.place(publication) }
    }

    private var now: Timestamp { Timestamp(seconds: Machine.now) }

    /// Reads the work tree, and follows it.
    ///
    /// - Parameters:
    ///   - ready: Called once it was read for the first time.
    ///   - turn: Called after each look; an error ends the loop.
    mutating func run(ready: () throws -> Void, turn: () throws -> Void) throws {
        read()
        try ready()
        while !service.isStopped {
            _ = watch.wait(atMost: WorkTreeWatch.longest)
            guard !service.isStopped else { return }
            read()
            try turn()
        }
    }

    /// Makes live what the work tree says. What is invalid changes nothing.
    private mutating func read() {
        do {
            var result = try compiler.compile(before: live.state.policy, today: now.date)
            if watch.follow(result.concerned) {
                result = try compiler.compile(before: live.state.policy, today: now.date)
            }
            show(result)
            if let state = result.state { try publish(state) }
            try hear()
            trouble = nil
        } catch {
            // A file that is being replaced, a full disk: it is tried again, and said once.
            let text = "\(error)".onOneLine(utf8: 1_000)
            if trouble != text { console.note("\(now) \(console.paintNote("not read", .red)): \(text)") }
            trouble = text
        }
    }

    private mutating func publish(_ state: DevelopedState) throws {
        let change = try DevelopedChange(from: live.state, to: state)
        guard let publication = live.publish(state, heard: now) else { return }
        try place(publication)
        let sentences = change.sentences.joined(separator: "; ")
        console.line("\(now) \(compiler.environment) entry \(live.entry): \(sentences)")
        if change.gains, live.entry > 2 {
            console.note("What was gained counts in runs that begin now: give '--run' another name.")
        }
        if state.agents[compiler.agent] == nil {
            console.note("\(compiler.agent) is not deployed in \(compiler.environment): every call is refused.")
        }
    }

    /// What is not placed whole is placed whole with the next look, under a higher number.
    private mutating func place(_ publication: Publication) throws {
        try target.publish(publication, gate: nil)
        live.placed()
        heard = .now
    }

    /// Says now and then that somebody is here: an operator's file may ask for that (`maxAge`).
    private mutating func hear() throws {
        guard ContinuousClock.now - heard > .seconds(20) else { return }
        try target.publish(Publication(header: live.header(heard: now)), gate: nil)
        heard = .now
    }

    /// Shows what is wrong, once for as long as it stays.
    private mutating func show(_ result: WorkTreeCompiler.Result) {
        let new = result.findings.filter { !said.contains($0) }
        let wasInvalid = said.contains { $0.severity == .error }
        said = Set(result.findings)
        let text = FindingRenderer(paint: console.paintNote, source: result.fleet.source).render(new)
        if !text.isEmpty { console.note(String(text.dropLast())) }
        let errors = result.findings.count { $0.severity == .error }
        if errors > 0, !new.isEmpty {
            let live = live.state.agents.isEmpty ? "nothing is live yet" : "entry \(live.entry) stays live"
            console.note("\(now) \(console.paintNote("invalid", .red)): \(counted(errors, "error")); \(live)")
        } else if errors == 0, wasInvalid {
            console.note("\(now) \(console.paintNote("valid again", .green))")
        }
    }
}
