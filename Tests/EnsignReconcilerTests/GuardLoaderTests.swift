import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Synchronization
import Testing

@testable import EnsignReconciler

/// What guards agents, read from two trees: only what differs.
@Suite struct GuardLoaderTests {
    private let scratch: ScratchDirectory
    private let repository: Repository
    private let read = ReadFiles()

    init() throws {
        scratch = try ScratchDirectory()
        try #require(try run("git", ["init", "-q", scratch.path], in: scratch.path).status == 0)
        repository = try Repository(at: scratch.path)
    }

    /// The small fleet with 30 more agents in two teams, changed by a closure.
    private func tree(_ change: (inout FleetFixture) -> Void = { _ in }) throws -> ObjectID {
        var fleet = FleetFixture()
        fleet.replace("keepFor: 7d", with: "keepFor: 7d\n  killSwitch: [{steps: 50}]", in: FleetFixture.environmentPath)
        for index in 0..<30 {
            fleet["environments/prod/agents/t\(index % 2)/a\(index).yaml"] = fleet[FleetFixture.deploymentPath]
        }
        change(&fleet)
        try #require(
            try run("git", ["rm", "-q", "-r", "--cached", "--ignore-unmatch", "."], in: scratch.path).status == 0
        )
        for (path, entry) in fleet.entries {
            guard case .text(let text) = entry else { continue }
            try scratch.write("\(path)", text)
            try #require(try run("git", ["add", path], in: scratch.path).status == 0)
        }
        let written = try run("git", ["write-tree"], in: scratch.path).output.prefix(40)
        return try #require(ObjectID(written))
    }

    private func changes(_ old: ObjectID, _ new: ObjectID, isTreeKnown: Bool = true) throws -> [GuardChange] {
        let (path, read) = (scratch.path, read)
        func side(_ tree: ObjectID) -> GuardLoader.Side {
            GuardLoader.Side(environment: "prod", tree: isTreeKnown ? tree : nil) {
                WatchedSnapshot(GitSnapshot(try Repository(at: path), tree: tree), read)
            }
        }
        read.names.withLock { $0 = [] }
        let today = try #require(CalendarDate("2026-06-01"))
        return try GuardLoader(repository: repository, today: today).changes(from: side(old), to: side(new))
    }

    @Test("Nothing is read where nothing differs, and where nothing that guards does")
    func nothing() throws {
        let old = try tree()
        #expect(try changes(old, old) == [])
        let new = try tree { $0.replace("Sort the ticket.", with: "Sort it.", in: FleetFixture.promptPath) }
        #expect(old != new)
        #expect(try changes(old, new) == [])
        #expect(read.all == [])
    }

    @Test("Of deployments those that differ are read, and all of them when a rule for all does")
    func deployments() throws {
        let old = try tree()
        let one = try tree {
            $0.replace("version: 1.0.0", with: "version: 1.0.1", in: "environments/prod/agents/t0/a4.yaml")
        }
        #expect(try changes(old, one) == [])
        #expect(read.all == ["a4.yaml", "a4.yaml", "environment.yaml", "environment.yaml"])
        let kept = try tree { $0.replace("keepFor: 7d", with: "keepFor: 1d", in: FleetFixture.environmentPath) }
        #expect(try changes(old, kept).map(\.agents) == [32])
        #expect(read.all == ["environment.yaml", "environment.yaml"])
        let ruled = try tree { $0.replace("steps: 50", with: "steps: 60", in: FleetFixture.environmentPath) }
        #expect(try changes(old, ruled).map(\.agents) == [32])
        // What is the same on both sides is read once.
        #expect(read.all.count == 32 + 2)
    }

    @Test("Prices and keys are read when they differ")
    func shared() throws {
        let old = try tree()
        let priced = try tree { $0.replace("input: 3.00", with: "input: 2.00", in: FleetFixture.pricesPath) }
        #expect(try changes(old, priced).map(\.what) == ["prices.anthropic/claude-sonnet-4-5"])
        #expect(read.all == ["environment.yaml", "environment.yaml", "prices.yaml", "prices.yaml"])
        let invalid = try tree { $0.replace("input: 3.00", with: "inputs: 2.00", in: FleetFixture.pricesPath) }
        #expect(try changes(old, invalid).map(\.text) == ["the prices cannot be read: what is spent is not counted"])
    }

    @Test("An environment that comes or goes guards nobody whom it guarded before")
    func environment() throws {
        let with = try tree()
        let without = try tree { fleet in
            for path in fleet.entries.keys where path.hasPrefix("environments/prod/") { fleet[path] = nil }
        }
        #expect(try changes(with, without) == [])
        #expect(try changes(without, with) == [])
    }

    @Test(
        "What is found from what differs is what is found from everything",
        arguments: [
            ("environments/prod/agents/t0/a4.yaml", "limits: {costUSDPerDay: 40}", "killSwitch: [{unknownTool: 1}]"),
            (
                "environments/prod/agents/t1/a5.yaml", "limits: {costUSDPerDay: 40}",
                "rollout: {canary: {steps: [{weight: 5, hold: 1m}]}}"
            ),
            (FleetFixture.environmentPath, "killSwitch: [{steps: 50}]", "killSwitch: [{unknownTool: 1}]"),
            (FleetFixture.environmentPath, "keepFor: 7d", "keepFor: 1d"),
            (FleetFixture.environmentPath, "keepFor: 7d", "rollout: {canary: {steps: [{weight: 5, hold: 1m}]}}"),
            (FleetFixture.pricesPath, "input: 3.00", "input: 4.00"),
            (FleetFixture.promptPath, "Sort", "File"),
        ]
    )
    func sameAsWhole(path: String, old: String, new: String) throws {
        let (before, after) = (try tree(), try tree { $0.replace(old, with: new, in: path) })
        for (from, to) in [(before, after), (after, before)] {
            let found = try changes(from, to)
            #expect(try found == changes(from, to, isTreeKnown: false))
            #expect(found.isEmpty == (path == FleetFixture.promptPath))
        }
    }
}

/// The names of the files that were read.
private final class ReadFiles: Sendable {
    let names = Mutex<[String]>([])
    var all: [String] { names.withLock { $0.sorted() } }
}

/// A snapshot that notes what is read of it.
private final class WatchedSnapshot: Snapshot {
    private let inner: any Snapshot
    private let read: ReadFiles

    init(_ inner: any Snapshot, _ read: ReadFiles) {
        self.inner = inner
        self.read = read
    }

    var root: SnapshotNode { inner.root }
    func children(of node: SnapshotNode) throws -> [SnapshotNode] { try inner.children(of: node) }
    func size(of node: SnapshotNode) throws -> Int { try inner.size(of: node) }
    func bytes(of node: SnapshotNode) throws -> [UInt8] {
        read.names.withLock { $0.append(node.name) }
        return try inner.bytes(of: node)
    }
}
