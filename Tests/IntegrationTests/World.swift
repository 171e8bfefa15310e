import EnsignTestSupport
import Foundation
import Testing

/// A world in which something is missing, or the clock shows another time: Tests/Faults/world.c.
struct World {
    /// Made once for all tests; the folder lives as long as they run.
    private static let made = Result { () throws -> (scratch: ScratchDirectory, library: String) in
        let scratch = try ScratchDirectory()
        scratch.removeAtExit()
        let library = "\(scratch.path)/world.so"
        let source = "\(Host.package)/Tests/Faults/world.c"
        let result = try run("cc", ["-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], in: scratch.path)
        try #require(result.status == 0, "\(result.errors)")
        return (scratch, library)
    }

    private let library: String

    init() throws { library = try Self.made.get().library }

    /// The environment of a program in that world.
    func callAsFunction(_ settings: [String: String]) -> [String: String] {
        settings.merging(["LD_PRELOAD": library]) { one, _ in one }
    }

    var noProc: [String: String] { self(["WORLD_NO_PROC": "1"]) }
    var noFiles: [String: String] { self(["WORLD_NO_FILES": "1"]) }
    var noInotify: [String: String] { self(["WORLD_NO_INOTIFY": "1"]) }
    func clock(_ seconds: Int64) -> [String: String] { self(["WORLD_CLOCK": "\(seconds)"]) }
    /// One in which so many seconds have passed.
    func ahead(_ seconds: Double) -> [String: String] { self(["WORLD_AHEAD": "\(Int(seconds.rounded(.up)))"]) }
}
