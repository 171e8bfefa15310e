import EnsignModel
import EnsignTargets
import EnsignTestSupport
import Foundation
import Testing

@Suite("The rotating slice of an observation")
struct SliceTests {
    /// 40 folders of 100 empty files.
    private struct Folders: ExpectedFiles {
        static let names = (10..<50).map { String($0) }
        static let files = (0..<100).map { "\($0).json" }

        func children(of folder: String) -> [String: ExpectedNode]? {
            switch folder {
            case "": ["bundles": .folder]
            case "bundles": Dictionary(uniqueKeysWithValues: Self.names.map { ($0, .folder) })
            default: Dictionary(uniqueKeysWithValues: Self.files.map { ($0, .file) })
            }
        }

        func bytes(at path: String) -> [UInt8] { [] }
        func matches(_ bytes: [UInt8], at path: String) -> Bool { bytes.isEmpty }
    }

    @Test("It goes round although more files than it holds stand in folders that changed before it")
    func goesRound() throws {
        let scratch = try ScratchDirectory()
        for folder in Folders.names {
            for file in Folders.files { try scratch.write("bundles/\(folder)/\(file)", "") }
        }
        let target = DirectoryTarget(path: scratch.path)
        var cursor = try target.observe(Folders(), .everything, sweeping: false).cursor
        for folder in Folders.names.prefix(25) {
            try FileManager.default.removeItem(atPath: scratch.write("bundles/\(folder)/new", ""))
        }
        var runs = 0
        repeat {
            cursor = try target.observe(Folders(), .slice(cursor, suspects: []), sweeping: false).cursor
            runs += 1
        } while !SliceCursor(cursor).next.isEmpty && runs < 30
        #expect(runs <= 4000 / SliceCursor.files + 1)
    }

    /// 200 folders of one file each, as bundles are in a small fleet.
    private struct SmallFolders: ExpectedFiles {
        static let names = (100..<300).map { String($0) }

        func children(of folder: String) -> [String: ExpectedNode]? {
            switch folder {
            case "": ["bundles": .folder]
            case "bundles": Dictionary(uniqueKeysWithValues: Self.names.map { ($0, .folder) })
            default: ["a.json": .file]
            }
        }

        func bytes(at path: String) -> [UInt8] { [] }
        func matches(_ bytes: [UInt8], at path: String) -> Bool { bytes.isEmpty }
    }

    @Test("Folders count as well as files: a slice of many small ones is no longer than one of a few large ones")
    func smallFolders() throws {
        let scratch = try ScratchDirectory()
        for folder in SmallFolders.names { try scratch.write("bundles/\(folder)/a.json", "") }
        let target = DirectoryTarget(path: scratch.path)
        Thread.sleep(forTimeInterval: 0.05)
        var cursor = try target.observe(SmallFolders(), .everything, sweeping: false).cursor
        var seen: [Int] = []
        repeat {
            let observation = try target.observe(SmallFolders(), .slice(cursor, suspects: []), sweeping: false)
            cursor = observation.cursor
            seen.append(observation.filesSeen)
        } while !SliceCursor(cursor).next.isEmpty && seen.count < 20
        #expect(seen.reduce(0, +) == 200)
        #expect(seen.max() ?? 0 <= SliceCursor.files / (SliceCursor.filesOfFolder + 1) + 1)
    }

    @Test("A folder that changed is looked at once, not in every run until the round ends")
    func changedFolderOnce() throws {
        let scratch = try ScratchDirectory()
        for folder in Folders.names {
            for file in Folders.files { try scratch.write("bundles/\(folder)/\(file)", "") }
        }
        let target = DirectoryTarget(path: scratch.path)
        // Folders younger than the clock's slack count as changed: only the one below is meant to.
        Thread.sleep(forTimeInterval: 0.05)
        var cursor = try target.observe(Folders(), .everything, sweeping: false).cursor
        let slice = SliceCursor.files
        try FileManager.default.removeItem(atPath: scratch.write("bundles/49/new", ""))
        Thread.sleep(forTimeInterval: 0.05)
        var seen: [Int] = []
        for _ in 0..<3 {
            let observation = try target.observe(Folders(), .slice(cursor, suspects: []), sweeping: false)
            cursor = observation.cursor
            seen.append(observation.filesSeen)
        }
        #expect(seen == [slice + 100, slice, slice])
        // What is edited there afterwards is found all the same: by the slice when it comes round.
        _ = try scratch.write("bundles/49/7.json", "edited in place")
        var found: [DriftedFile] = []
        for _ in 0..<20 where found.isEmpty {
            let observation = try target.observe(Folders(), .slice(cursor, suspects: []), sweeping: false)
            cursor = observation.cursor
            found = observation.drift
        }
        #expect(found.map(\.path) == ["bundles/49/7.json"])
    }
}
