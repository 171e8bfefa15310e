import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignSystem
import EnsignTestSupport
import Testing

@testable import EnsignReconciler

@Suite("What a large plan puts aside")
struct DiskShelfTests {
    private let bundles = (0..<300).map { compiled(bundle("support/a\($0)")) }

    @Test("It reads back as it was, whoever put it aside at the same time")
    func reads() throws {
        let scratch = try ScratchDirectory()
        let shelf = DiskShelf(folders: [scratch.path], room: 5_000)
        let kept = try Parallel.map(bundles, few: 1) { try shelf.keep($0) }
        let isAside = kept.count { if case .shelved = $0.file { true } else { false } }
        // What fits in the room stays in memory.
        #expect(isAside > 250 && isAside < 300)
        for (was, now) in zip(bundles, kept) {
            #expect(try now == was && now.bundle == was.bundle && now.bytes == was.bytes)
            #expect(now.side == was.side && now.identity == was.identity)
        }
        // Nothing is left behind, whatever becomes of the process.
        #expect(try Files.list(scratch.path) == [])
    }

    @Test("What a disk makes something else of is an error, never a bundle")
    func damaged() throws {
        let scratch = try ScratchDirectory()
        let shelf = DiskShelf(folders: [scratch.path], room: 0)
        let kept = try bundles.prefix(2).map { try shelf.keep($0) }
        guard case .shelved(_, let first) = kept[0].file, case .shelved(_, let second) = kept[1].file else {
            Issue.record("they are put aside")
            return
        }
        // Each is read where the other one is: well-formed, and not what was put there.
        for (place, other) in [(first, second), (second, first)] {
            let wrong = ShelfPlace(offset: place.offset, count: place.count, check: other.check)
            #expect(throws: SystemError.self) { try shelf.bytes(at: wrong) }
            #expect(throws: SystemError.self) { try shelf.bundle(at: wrong) }
        }
    }

    @Test("Where no folder takes it, it stays in memory")
    func noRoom() throws {
        let shelf = DiskShelf(folders: ["/proc", "/nowhere"], room: 0)
        for bundle in bundles.prefix(3) {
            let kept = try shelf.keep(bundle)
            guard case .bytes(let bytes) = kept.file else {
                Issue.record("it is on no shelf")
                continue
            }
            #expect(try bytes == bundle.bytes)
        }
    }

    @Test("What a new agent brings is worked out when somebody asks, and is the same as before")
    func differences() throws {
        let shelf = DiskShelf(folders: [try ScratchDirectory().path], room: 0)
        let kept = try shelf.keep(bundles[0])
        let difference = PlannedDifference.all(of: kept)
        #expect(try difference.read() == BundleDifference(before: nil, after: bundles[0].bundle))
        #expect(try difference.kind == difference.read().kind)
        #expect(PlannedDifference.nothing.kind == .none && PlannedDifference.nothing.compared == nil)
    }
}
