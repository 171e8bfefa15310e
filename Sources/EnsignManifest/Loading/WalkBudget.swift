package import EnsignModel
import Synchronization

/// How many files and folders one walk through a fleet may visit, over all its threads.
///
/// A folder's limit does not bound a fleet: three small tree objects of git can name 9,000 teams of 9,000 agents with 9,000
/// versions. Once a walk has got far, the snapshot is asked how much there is in all, before anything more is read.
package final class WalkBudget: Sendable {
    /// The most files and folders of a fleet.
    package static let limit = 4_000_000
    /// Below this nothing is asked: counting takes a while, too.
    private static let first = 100_000

    private let limit: Int
    private let visited = Atomic<Int>(0)
    private let counted = Atomic<Bool>(false)

    package init(limit: Int = limit) { self.limit = limit }

    /// - Throws: ``FleetTooLarge``.
    func take(_ count: Int, from snapshot: any Snapshot) throws {
        let total = visited.add(count, ordering: .relaxed).newValue
        guard total > Self.first else { return }
        guard total <= limit else { throw FleetTooLarge() }
        // One thread counts for all.
        guard !counted.exchange(true, ordering: .relaxed) else { return }
        if try snapshot.countEntries(upTo: limit) > limit {
            visited.store(limit, ordering: .relaxed)
            throw FleetTooLarge()
        }
    }
}

/// A fleet has more files and folders than one walk visits.
package struct FleetTooLarge: Error, Sendable, Hashable, CustomStringConvertible {
    package var description: String { "the fleet has more than \(WalkBudget.limit) files and folders" }

    /// The same as a finding about the whole fleet.
    package var finding: Finding {
        Finding(code: "too-large", description, path: RepositoryPath.fleet, hint: "split it into several repositories")
    }
}
