package import EnsignMCP
package import EnsignModel
import EnsignPolicy
import EnsignSystem
import Synchronization

/// Makes upstreams: the front of the transports.
package typealias UpstreamMaker =
    @Sendable (UpstreamAddress, @escaping UpstreamSecrets, @escaping UpstreamTeller) ->
    any Upstream

/// Is told of a server what no call may ever say.
package typealias UpstreamTeller = @Sendable (UpstreamFailure) -> Void

/// The operator's servers: which tool may be reached, with which credentials, and whether it answers.
///
/// What a manifest says of a server is a request. Only the operator's command, address, environment, headers and folder are
/// ever used; where the manifest names another server, the tool is off.
package final class UpstreamDesk: Sendable {
    /// Why a tool cannot be called, for the operator.
    package enum Off: Error, Sendable, Hashable, CustomStringConvertible {
        /// The operator's file has no line for it.
        case noLine
        /// The manifest names another server: what it names, and what the operator's file does.
        case otherServer(asked: String, ours: String)
        /// The manifest names a reference that the line does not list.
        case reference(String)

        package var description: String {
            switch self {
            case .noLine: "the operator's file has no upstream for it"
            case .otherServer(let asked, let ours):
                "the manifest names the server \(asked.quoted(utf8: 300)), and the operator's file \(ours.quoted(utf8: 300))"
            case .reference(let reference):
                "the manifest names the credentials \(reference.quoted(utf8: 200)), which its upstream does not list"
            }
        }
    }

    /// One server with one set of credentials.
    package struct Station: Sendable {
        package let upstream: any Upstream
        let pins = KnownPins()
        private let turn = ListTurn()
        fileprivate let breaker: CircuitBreaker
        fileprivate var pass: CircuitBreaker.Pass?
        /// The reference of its credentials; nil without any.
        package let reference: String?

        /// The same for one call; nil while nobody may call. Whoever gets it says what came of the call.
        func admitted() -> Station? {
            guard let pass = breaker.admits() else { return nil }
            var station = self
            station.pass = pass
            return station
        }

        /// The server answered.
        func succeeded() { breaker.succeeded() }
        /// The transport failed.
        func failed() { if let pass { breaker.failed(pass) } }
        /// The call was given up before anything was learned.
        func passed() { if let pass { breaker.passed(pass) } }

        /// What it offers, in a time of its own: how long a call may take says nothing of its list.
        func listing() throws(UpstreamFailure) -> ServerListing {
            if let kept = upstream.kept { return kept }
            return try turn.take(within: Self.timeOfList) { (time) throws(UpstreamFailure) in
                try upstream.listing(within: time)
            }
        }

        static let timeOfList = Duration.seconds(15)

        /// What a failure says of the server: an answer, however bad it is, came over a connection that is good.
        func learned(_ failure: UpstreamFailure) {
            switch failure.kind {
            case .cancelled, .resting, .oversized, .withdrawn: passed()
            case .unauthorized, .answered, .malformed, .forgotten: succeeded()
            case .unreachable, .ended, .timedOut: failed()
            }
        }

        package init(
            upstream: any Upstream,
            breaker: CircuitBreaker,
            pass: CircuitBreaker.Pass? = nil,
            reference: String?
        ) {
            (self.upstream, self.breaker, self.pass, self.reference) = (upstream, breaker, pass, reference)
        }
    }

    private struct Name: Hashable {
        var tool: String
        var reference: String?
    }

    private struct Described: Hashable {
        var bundle: Digest
        var tool: String
    }

    private let lines: [String: GatewayFile.UpstreamLine]
    private let described = Mutex<[Described: Result<String?, Off>]>([:])
    private static let mostDescribed = 4_096
    private let secrets: SecretShelf
    private let sandbox: String?
    private let say: @Sendable (String) -> Void
    private let make: UpstreamMaker
    private let stations = Mutex<[Name: Station]>([:])
    /// Changed with the lock of the stations alone.
    private let startsNoMore = Flag()
    private let askers = WorkerPool(most: 32)

    /// - Parameters:
    ///   - sandbox: Where bubblewrap is.
    ///   - say: Tells the operator something, who may have been told before.
    package init(
        _ lines: [String: GatewayFile.UpstreamLine],
        secrets: SecretShelf,
        sandbox: String?,
        say: @escaping @Sendable (String) -> Void = { _ in },
        make: @escaping UpstreamMaker
    ) {
        self.lines = lines
        self.secrets = secrets
        self.sandbox = sandbox
        self.say = say
        self.make = make
    }

    /// The same for a tool of a bundle, worked out once; of one that the bundle does not describe for agents that are only
    /// observed.
    func reference(of tool: String, in bundle: PreparedBundle) -> Result<String?, Off> {
        let name = Described(bundle: bundle.digest, tool: tool)
        if let known = described.withLock({ $0[name] }) { return known }
        let found = bundle.bundle.tools.first { $0.tool == tool }
        let reference = found.map(reference(of:)) ?? reference(ofUngranted: tool)
        described.withLock { described in
            if described.count >= Self.mostDescribed { described = [:] }
            described[name] = reference
        }
        return reference
    }

    /// Whether a tool of a bundle may be reached, and with which reference.
    package func reference(of tool: BundleTool) -> Result<String?, Off> {
        guard let line = lines[tool.tool] else { return .failure(.noLine) }
        if let server = tool.server, let asked = line.difference(from: server) {
            return .failure(.otherServer(asked: asked, ours: line.shown))
        }
        guard let reference = tool.credentials else { return .success(nil) }
        // A line that uses no credentials takes none, whatever the manifest says.
        guard line.wantsCredentials else { return .success(nil) }
        guard line.references.contains(where: { $0.value.utf8.elementsEqual(reference.utf8) }) else {
            return .failure(.reference(reference))
        }
        return .success(reference)
    }

    /// The server of a tool that no bundle describes: for agents that are only observed.
    package func reference(ofUngranted tool: String) -> Result<String?, Off> {
        guard let line = lines[tool] else { return .failure(.noLine) }
        guard line.wantsCredentials else { return .success(nil) }
        return line.references.count == 1 ? .success(line.references[0].value) : .failure(.noLine)
    }

    /// The server of a tool, which is started at its first call.
    package func station(_ tool: String, reference: String?) -> Station? {
        guard let line = lines[tool] else { return nil }
        return stations.withLock { stations in
            let name = Name(tool: tool, reference: reference)
            if let station = stations[name] { return station }
            let (secrets, say) = (self.secrets, self.say)
            let filled: UpstreamSecrets = { () throws(UpstreamFailure) in
                try line.filled(
                    try reference.map { (reference) throws(UpstreamFailure) in try secrets.secret(reference) }
                )
            }
            let upstream = make(line.upstreamAddress(sandbox: sandbox), filled) { failure in
                say("\(tool): \(secrets.cutter.cut(failure.message))")
            }
            let station = Station(upstream: upstream, breaker: CircuitBreaker(), pass: nil, reference: reference)
            stations[name] = station
            if startsNoMore.isSet { upstream.startNoMore() }
            return station
        }
    }

    /// What servers offer, by the names they are asked under: all are asked at once, and those that answer in time count.
    ///
    /// A server that is started for it goes on starting, and a slow start is not a failure of it.
    package func listings(_ stations: [String: Station], within time: Duration) -> [String: ServerListing] {
        let found = Condition((listings: [String: ServerListing](), open: 0))
        let deadline = ContinuousClock.now + time
        for (name, station) in stations {
            guard let station = station.admitted() else { continue }
            found.withLock { $0.open += 1 }
            let isAsked = askers.run {
                var listing: ServerListing?
                do throws(UpstreamFailure) {
                    listing = try station.upstream.listing(within: time, waitsForStart: false)
                    station.passed()
                } catch {
                    // That a list took too long says nothing of a server's calls.
                    if error.kind == .timedOut { station.passed() } else { station.learned(error) }
                }
                found.update { state in
                    state.listings[name] = listing
                    state.open -= 1
                }
            }
            guard !isAsked else { continue }
            station.passed()
            found.withLock { $0.open -= 1 }
        }
        _ = found.wait(until: deadline) { $0.open == 0 ? true : nil }
        return found.withLock { $0.listings }
    }

    /// Starts no server any more, and ends those that do not serve yet.
    package func startNoMore() {
        let all = stations.withLock { stations in
            startsNoMore.set()
            return Array(stations.values)
        }
        secrets.readNoMore()
        for station in all { station.upstream.startNoMore() }
    }

    /// Ends all servers.
    package func end() {
        let all = stations.withLock { stations in
            defer { stations = [:] }
            return Array(stations.values)
        }
        for station in all { station.upstream.end() }
        askers.stop()
        // One that was started at that moment.
        for station in all { station.upstream.end() }
        secrets.end()
    }
}

extension GatewayFile.UpstreamLine {
    /// What the operator's file names, for people.
    package var shown: String {
        switch address {
        case .program(let program): program.words.map(\.value).joined(separator: " ")
        case .web(let url, _): url.value
        }
    }

    /// What a manifest's server names, if that is another one; nil where it is the same.
    ///
    /// Programs are the same by the name of their file and all arguments, addresses by all that they say.
    func difference(from server: JSONValue) -> String? {
        let asked = server["mcp"]
        let command = asked?["command"]?.array?.map { $0.string ?? $0.text }
        switch address {
        case .program(let program):
            guard let command, let name = command.first else { return asked?["url"]?.string ?? server.text }
            let own = program.words.map(\.value)
            let isSame =
                Self.file(name).elementsEqual(Self.file(own[0]))
                && command.dropFirst().elementsEqual(own.dropFirst()) { $0.utf8.elementsEqual($1.utf8) }
            return isSame ? nil : command.joined(separator: " ")
        case .web(let url, _):
            guard let other = asked?["url"]?.string else { return command?.joined(separator: " ") ?? server.text }
            let isSame = WebAddress(other).map { $0 == WebAddress(url.value) } ?? false
            return isSame ? nil : other
        }
    }

    private static func file(_ path: String) -> Substring.UTF8View {
        (path.split(separator: "/").last ?? Substring(path)).utf8
    }

    func upstreamAddress(sandbox: String?) -> UpstreamAddress {
        switch address {
        case .web(let url, _): .web(url: url.value)
        case .program(let program): .program(program.address(sandbox: sandbox))
        }
    }
}

extension GatewayFile.UpstreamLine.Program {
    func address(sandbox bubblewrap: String?) -> ProgramAddress {
        let own = words.map(\.value)
        var address = ProgramAddress(
            words: own,
            directory: directory?.value,
            sha256: sha256?.value,
            user: user?.value
        )
        address.startTimeout = startTimeout
        guard let sandbox else { return address }
        // Without bubblewrap nothing is run: the words are of a program that is not there.
        address.words =
            [bubblewrap ?? "/usr/bin/bwrap"] + sandbox.options(for: own[0], in: directory?.value) + ["--"] + own
        address.program = own[0]
        address.directory = nil
        return address
    }
}

extension GatewayFile.UpstreamLine.Sandbox {
    /// What of the system every program needs: programs, libraries, names and certificates; no accounts' folders.
    private static let system = [
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives", "/etc/ld.so.cache",
        "/etc/localtime", "/etc/ssl", "/etc/ca-certificates", "/etc/pki",
    ]
    private static let names = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services"]

    /// Options of bwrap(1): new namespaces of every kind, the system to read, and what the operator's line lists.
    func options(for program: String, in directory: String?) -> [String] {
        var options = ["--die-with-parent", "--new-session", "--unshare-all"]
        if network { options.append("--share-net") }
        for place in Self.system + (network ? Self.names : []) { options += ["--ro-bind-try", place, place] }
        options += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind", program, program]
        for place in read { options += ["--ro-bind", place.value, place.value] }
        for place in write { options += ["--bind", place.value, place.value] }
        return options + ["--chdir", directory ?? "/"]
    }
}
