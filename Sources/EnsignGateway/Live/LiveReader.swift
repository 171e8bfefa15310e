import EnsignCrypto
import EnsignJSON
package import EnsignModel
package import EnsignPolicy
import EnsignSystem
import Synchronization

/// What a live directory says of an agent now.
package enum LiveAnswer: Sendable {
    /// Stopped, by the entry if it was said with a proof; or not there.
    case halted(entry: Int64?)
    /// By this route, which the entry published.
    case open(Route, entry: Int64)
}

/// Asks the live directory at each call: a halt and a rollback hold at the next one. What nobody has touched is not read again.
///
/// Nothing is believed that is not signed by a key of the operator's, of this environment, as new as everything that was
/// seen, and owned by the right account. What cannot be read is tried again for a fifth of a second, as a publication may
/// be under way; then it is trouble, which ends by itself. Bundles are kept in memory, since their digests prove them. Safe
/// from any number of threads.
package final class LiveReader: Sendable {
    private let files: LiveFiles
    package let environment: String
    private let maxAge: TimeSpan?
    private let seen: SeenStore
    private let keys: LiveKeys
    private let routes = LiveShelf<LiveAnswer>()
    /// When the host was last heard.
    private let headers = LiveShelf<Timestamp>()
    private let policies = LiveShelf<GatewayPolicy?>()
    /// What was found of `policy.json` when it was looked at last.
    private let policyWatch = Mutex(PolicyWatch.unknown)
    private let bundles = Mutex(BundleShelf())
    private let patience: Duration
    private let clock: @Sendable () -> Timestamp

    /// The most bytes of a route and of `fleet.json`.
    private static let most = 1 << 20

    /// - Parameters:
    ///   - live: A live directory.
    ///   - owner: The account that must own everything in it.
    ///   - state: The gateway's own folder.
    ///   - patience: How long what cannot be read is tried again.
    package init(
        live: String,
        environment: String,
        keys: LiveKeys,
        owner: UInt32,
        maxAge: TimeSpan?,
        state: String,
        patience: Duration = .milliseconds(200),
        clock: @escaping @Sendable () -> Timestamp = { Timestamp(seconds: Machine.now) }
    ) {
        files = LiveFiles(root: live, owner: owner)
        self.environment = environment
        self.maxAge = maxAge
        self.keys = keys
        seen = SeenStore(state: state, environment: environment, keys: keys)
        self.patience = patience
        self.clock = clock
    }

    /// The environment of a live directory, as its header says and the keys allow.
    package static func environment(of live: String, owner: UInt32, keys: LiveKeys) throws(LiveTrouble) -> String {
        guard let bytes = try LiveFiles(root: live, owner: owner).read(LivePath.header, limit: most) else {
            throw LiveTrouble("there is no \(LivePath.header) in \(live): nothing was published there")
        }
        guard let name = (try? JSONParser.parse(bytes))?["environment"]?.string else {
            throw LiveTrouble("\(live)/\(LivePath.header) names no environment")
        }
        switch LiveProof.verify(bytes, as: .header, of: name, keys: keys) {
        case .success: return name
        case .failure(let refusal): throw LiveTrouble("\(live)/\(LivePath.header): \(refusal)")
        }
    }

    // MARK: Files

    /// What a file says: made anew when somebody has touched it, or what was seen of it.
    ///
    /// - Parameter make: Gets nil when there is no file. Gives what ``SeenStore/admit(_:as:)`` says, too.
    private func look<Value>(
        at file: LiveProof.File,
        in shelf: LiveShelf<Value>,
        limit: Int = LiveReader.most,
        _ make: ([UInt8]?) throws(LiveTrouble) -> (value: Value, seen: FileStatus?)
    ) throws(LiveTrouble) -> Value {
        let entry = shelf.entry(of: file) { .init(place: files.place(file.path), seen: seen.path(of: file)) }
        let before = try seen.status(entry.seen)
        if let value = entry.value(try files.mark(of: entry.place), before) { return value }
        guard let content = try files.read(entry.place, limit: limit) else { return try make(nil).value }
        if let value = entry.value(content, before) {
            if let before { shelf.keep(value, of: file, content, seen: before) }
            return value
        }
        let made = try make(content.bytes)
        if let seen = made.seen { shelf.keep(made.value, of: file, content, seen: seen) }
        return made.value
    }

    private func proven(
        _ bytes: [UInt8],
        _ file: LiveProof.File
    ) throws(LiveTrouble) -> (JSONObject, seen: FileStatus?) {
        switch LiveProof.verify(bytes, as: file, of: environment, keys: keys) {
        case .failure(let refusal): throw LiveTrouble("\(file.path): \(refusal)")
        case .success(let proven): return (proven.value, try seen.admit(proven, as: file))
        }
    }

    // MARK: Routes

    /// What an agent's route says now.
    package func route(of agent: AgentID) throws(LiveTrouble) -> LiveAnswer {
        try patiently { () throws(LiveTrouble) in
            try self.checkAge()
            return try self.look(at: .route(agent), in: self.routes) { (bytes) throws(LiveTrouble) in
                guard let bytes else { return (.halted(entry: nil), nil) }
                switch RouteReading.read(bytes, of: agent, in: self.environment, keys: self.keys) {
                case .failure(let refusal): throw LiveTrouble("\(LivePath.route(agent)): \(refusal)")
                case .success(.halted(let proven)):
                    // A halt needs no proof; one that has it takes back what was signed before.
                    guard let proven else { return (.halted(entry: nil), nil) }
                    return (.halted(entry: proven.entry), try self.seen.admit(proven, as: .route(agent)))
                case .success(.open(let route, let proven)):
                    let seen = try self.seen.admit(proven, as: .route(agent))
                    return (.open(route, entry: proven.entry), seen)
                }
            }
        }
    }

    /// The bundle that an agent's route gives a session's key now, and by which entry; no bundle where the agent is stopped.
    package func present(
        _ agent: AgentID,
        key: String
    ) throws(LiveTrouble) -> (bundle: PreparedBundle?, entry: Int64?) {
        switch try route(of: agent) {
        case .halted(let entry): return (nil, entry)
        case .open(let route, let entry):
            guard let text = route.bucketText(key: key),
                let target = route.target(bucket: Route.bucket(sha256: Fingerprint.digest(of: text)))
            else { return (nil, entry) }
            return (try bundle(target.digest), entry)
        }
    }

    /// All agents that have a route, sorted. What their routes say is another question.
    package func agents() throws(LiveTrouble) -> [AgentID] {
        try files.agents().sorted()
    }

    private func checkAge() throws(LiveTrouble) {
        guard let maxAge else { return }
        let heard = try look(at: .header, in: headers) { (bytes) throws(LiveTrouble) in
            guard let bytes else { throw LiveTrouble("there is no \(LivePath.header)") }
            let (header, seen) = try self.proven(bytes, .header)
            guard let heard = LiveHeader.heard(header) else {
                throw LiveTrouble("\(LivePath.header) does not say when the host was heard")
            }
            return (heard, seen)
        }
        let age = clock().seconds(since: heard)
        guard age <= maxAge.seconds else {
            throw LiveTrouble("nothing was heard of the host for \(age) seconds, and maxAge is \(maxAge)")
        }
    }

    // MARK: Bundles

    /// A bundle by its digest. Its file is looked at each time: one that somebody has touched is proven again.
    ///
    /// - Parameter isOld: Whether it is one that a run began with, or somebody was asked about: such a file is removed some time,
    ///   and what was proven of it stays good.
    package func bundle(_ digest: Digest, isOld: Bool = false) throws(LiveTrouble) -> PreparedBundle {
        let known = bundles.withLock { $0.take(digest) }
        if let known, let mark = known.mark, (try? Files.status(known.place.path)) == mark { return known.bundle }
        return try patiently { () throws(LiveTrouble) in
            let place = known?.place ?? self.files.place(LivePath.bundle(digest))
            guard let content = try self.files.read(place, limit: Bundle.maxBytes) else {
                if isOld, let known { return known.bundle }
                throw LiveTrouble("there is no \(LivePath.bundle(digest))")
            }
            guard SHA256.hex(of: content.bytes) == digest.hex else {
                throw LiveTrouble("\(LivePath.bundle(digest)) is not what its name says")
            }
            let bundle = if let known { known.bundle } else { try self.prepared(content.bytes, digest) }
            let shelved = ShelvedBundle(bundle: bundle, place: place, mark: content.mark, size: content.bytes.count)
            self.bundles.withLock { $0.put(shelved) }
            return bundle
        }
    }

    private func prepared(_ bytes: [UInt8], _ digest: Digest) throws(LiveTrouble) -> PreparedBundle {
        let path = LivePath.bundle(digest)
        guard let json = try? JSONParser.parse(bytes), let bundle = Bundle(json: json) else {
            throw LiveTrouble("\(path) is not a bundle that is understood here")
        }
        guard bundle.environment == environment else {
            throw LiveTrouble("\(path) is of the environment '\(bundle.environment.cut(utf8: 100))'")
        }
        return PreparedBundle(bundle, digest: digest)
    }

    // MARK: What all share

    /// Prices, limits and approvers of the environment; nil where none are published.
    package func policy() throws(LiveTrouble) -> GatewayPolicy? {
        try patiently { () throws(LiveTrouble) in
            let limit = GatewayPolicy.maxBytes
            return try self.look(at: .policy, in: self.policies, limit: limit) { (bytes) throws(LiveTrouble) in
                guard let bytes else {
                    // What limits and who may agree does not end because somebody took a file away.
                    guard try !self.seen.knows(.policy) else {
                        throw LiveTrouble("there is no \(LivePath.policy), and there was one before")
                    }
                    return (nil, nil)
                }
                let (value, seen) = try self.proven(bytes, .policy)
                guard let policy = GatewayPolicy(json: .object(value)) else {
                    throw LiveTrouble("\(LivePath.policy) is not understood here")
                }
                return (policy, seen)
            }
        }
    }

    /// What is asked of `policy.json` at each call, whether or not it needs what is in there: that nobody has taken it away, and
    /// that it is proven. One that is as it was costs one look.
    package func checkPolicy() throws(LiveTrouble) {
        let status: FileStatus?
        do throws(SystemError) { status = try Files.status("\(files.root)/\(LivePath.policy)") } catch {
            throw LiveTrouble(error.description)
        }
        let now = status.map(PolicyWatch.there) ?? .missing
        if policyWatch.withLock({ $0 == now }) { return }
        // The look came first: whoever changes the file after it is found out at the next call.
        let isThere = try policy() != nil
        let isLasting = status == nil ? !isThere : isThere && policies.mark(of: .policy) == status
        policyWatch.withLock { $0 = isLasting ? now : .unknown }
    }

    // MARK: Patience

    /// Tries again for a while what went wrong.
    private func patiently<Value>(_ body: () throws(LiveTrouble) -> Value) throws(LiveTrouble) -> Value {
        let end = ContinuousClock.now + patience
        while true {
            do throws(LiveTrouble) { return try body() } catch {
                guard ContinuousClock.now < end else { throw error }
                Machine.pause(milliseconds: 20)
            }
        }
    }
}

/// What was found of `policy.json`.
private enum PolicyWatch: Sendable, Equatable {
    case unknown
    /// It is not there, and never was.
    case missing
    /// It is there, proven, and for as long as this is the same nobody has touched it.
    case there(FileStatus)
}
