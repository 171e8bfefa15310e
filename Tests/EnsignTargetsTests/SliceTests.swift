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
            default: Dictionary(uniqueKeysWithValues: Self.files.map { ($0, .file(.zero)) })
            }
        }

        func bytes(of node: ExpectedNode) -> [UInt8] { [] }
        func matches(_ bytes: [UInt8], _ node: ExpectedNode) -> Bool { bytes.isEmpty }
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
        } while !cursor.next.isEmpty && runs < 10
        #expect(runs <= 4000 / ObservationCursor.files + 1)
    }
}
