import EnsignTestSupport
import Foundation
import Testing

/// A file system that fails, or a program that dies, at one of its calls: Tests/Faults/faults.c.
enum Faults {
    /// Made once for all tests; the folder lives as long as they run.
    private static let made = Result { () throws -> (scratch: ScratchDirectory, library: String) in
        let scratch = try ScratchDirectory()
        scratch.removeAtExit()
        let path = "\(scratch.path)/faults.so"
        let source = "\(Host.package)/Tests/Faults/faults.c"
        let result = try run("cc", ["-shared", "-fPIC", "-O1", "-o", path, source, "-ldl"], in: scratch.path)
        try #require(result.status == 0, "\(result.errors)")
        return (scratch, path)
    }

    /// What a program is started with in LD_PRELOAD.
    static var library: String { get throws { try made.get().library } }

    /// The environment of a program of which one call fails.
    static func failing(_ call: Int, _ kinds: String, _ error: Int32) throws -> [String: String] {
        [
            "LD_PRELOAD": try library, "FAULT_MODE": "fail", "FAULT_AT": "\(call)", "FAULT_CALLS": kinds,
            "FAULT_ERRNO": "\(error)",
        ]
    }

    /// How many calls a program makes.
    static func count(_ host: Host, _ repository: String, _ words: [String], _ kinds: String) throws -> Int {
        let counter = "\(host.scratch.path)/count"
        var environment = try failing(0, kinds, EIO)
        environment["FAULT_COUNT"] = counter
        _ = try run(Host.ensign, words, in: repository, environment: environment)
        let text = try String(contentsOfFile: counter, encoding: .utf8)
        return try #require(Int(text.trimmingCharacters(in: .whitespacesAndNewlines)))
    }
}
