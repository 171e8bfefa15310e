package import EnsignModel

/// The place that agents really read from.
///
/// Every target: `publish` may be repeated with the same publication and then changes nothing; a reader sees each file
/// complete or not at all; a route never names a bundle that is not there yet. One writer at a time: the caller holds
/// the environment's lock. If the writer is killed, each file is in either the old or the new state, and a repeated
/// `publish` brings it to the new one. A halt always wins: what is halted while something is published stays halted.
package protocol Target: Sendable {
    /// Why this must not be used as it is; nil when it may. Changes nothing.
    func obstacle() throws -> String?

    /// Brings the target to the publication's state, except for routes that the gate holds back.
    ///
    /// - Returns: The agents whose routes were held back: these are unchanged.
    @discardableResult
    func publish(_ publication: Publication, gate: (any RouteGate)?) throws -> Set<AgentID>

    /// Puts halted routes in place, as soon as possible: if there is no room for a file, the route is removed.
    ///
    /// The only change that needs no environment lock: it may come while somebody else publishes or sweeps.
    ///
    /// - Returns: The agents whose route was removed.
    /// - Throws: When a route could be neither replaced nor removed; all others are done by then.
    func halt(_ routes: [(agent: AgentID, bytes: [UInt8])]) throws -> Set<AgentID>

    /// The agents that have a route now, of one team or of all; sorted.
    func agents(of team: String?) throws -> [AgentID]

    /// Compares the target with what is recorded.
    ///
    /// - Parameter sweeping: Whether to remove a killed writer's leftovers; only under the environment's lock.
    func observe(_ expected: any ExpectedFiles, _ scope: ObservationScope, sweeping: Bool) throws -> Observation

    /// The bytes at a path now; nil when it is missing or not a plain file.
    func read(_ path: String) throws -> [UInt8]?
}

/// Holds back routes that must not come into place, whatever an earlier plan says.
package protocol RouteGate {
    /// Runs `body`, which puts routes in place; no new hold can begin while it runs, so it must be short.
    ///
    /// `isHeld` says whether these bytes may not become the agent's route.
    func pass(_ body: (_ isHeld: (_ agent: AgentID, _ bytes: [UInt8]) -> Bool) throws -> Void) throws
}

/// Files to put in place and files to remove. Paths are relative to the target.
package struct Publication: Sendable {
    /// Removed before anything is put in place: something unrecorded may be where a file belongs.
    package var clearings: [String] = []
    /// Put in place first.
    package var bundles: [(path: String, content: FileContent)]
    package var routes: [(path: String, content: FileContent)]
    /// Removed after the routes are in place.
    package var removals: [String]
    /// `fleet.json`, put in place last.
    package var header: [UInt8]?

    package init(
        bundles: [(path: String, content: FileContent)] = [],
        routes: [(path: String, content: FileContent)] = [],
        removals: [String] = [],
        header: [UInt8]? = nil
    ) {
        self.bundles = bundles
        self.routes = routes
        self.removals = removals
        self.header = header
    }
}

/// The recorded state, for comparison with a target.
package protocol ExpectedFiles {
    /// What should be in a folder, by name; nil when the folder should not be there. `""` is the target itself.
    func children(of folder: String) throws -> [String: ExpectedNode]?

    /// The names of the folders that should be in a folder, in no order.
    func folders(in folder: String) throws -> [String]

    /// What the file at a path should hold.
    func bytes(at path: String) throws -> [UInt8]

    /// Whether these bytes are what the file at a path should hold. Cheaper than comparing with ``bytes(at:)``.
    func matches(_ bytes: [UInt8], at path: String) throws -> Bool
}

extension ExpectedFiles {
    package func folders(in folder: String) throws -> [String] {
        try children(of: folder)?.compactMap { $0.value == .folder ? $0.key : nil } ?? []
    }
}

/// What should be at a path.
package enum ExpectedNode: Sendable, Hashable {
    case folder, file
}

/// How much of a target an observation checks.
package enum ObservationScope: Sendable, Hashable {
    /// Every file's bytes.
    case everything
    /// As much as the target considers enough since the observation that gave the cursor, and folders where something
    /// is known to have happened. A few such observations, each cheap, find every change.
    case slice(ObservationCursor, suspects: Set<String>)
}

/// Where a target continues its observation in slices: a value that only the target understands.
///
/// Kept between runs. A target treats a foreign or meaningless value like none: it starts again and finds everything.
package struct ObservationCursor: Sendable, Hashable {
    package var json: JSONValue

    /// The start.
    package init() { json = .null }

    package init(json: JSONValue) { self.json = json }
}

/// What an observation found.
package struct Observation: Sendable {
    /// Sorted by path.
    package var drift: [DriftedFile]
    package var cursor: ObservationCursor
    package var filesSeen: Int

    package init(drift: [DriftedFile], cursor: ObservationCursor, filesSeen: Int) {
        self.drift = drift
        self.cursor = cursor
        self.filesSeen = filesSeen
    }
}

/// A file that is not what is recorded.
package struct DriftedFile: Sendable, Hashable {
    package enum Found: String, Sendable, CaseIterable {
        /// Other bytes.
        case edited
        /// A part of the bytes.
        case truncated
        /// Not there.
        case removed
        /// There and not recorded.
        case added
        /// Something that is not a regular file, or a file where a folder should be.
        case replaced
        /// Permissions under which agents may not be able to read it.
        case mode
    }

    /// Relative to the target.
    package var path: String
    package var found: Found
    /// The size of what was found, in bytes; nil when it is not a file.
    package var size: Int64?

    package init(path: String, found: Found, size: Int64?) {
        self.path = path
        self.found = found
        self.size = size
    }
}

extension DriftedFile {
    package var json: JSONValue {
        ["path": .string(path), "found": .string(found.rawValue), "size": size.map { .integer($0) } ?? .null]
    }
}
