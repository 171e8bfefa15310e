import Foundation

/// A scratch directory, gone with its last reference, in which stock ssh-keygen runs.
final class Scratch {
    /// What a finished program left.
    struct Output {
        let status: Int32
        let output: String
        let error: String
    }

    private let directory: URL

    init() throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("ensign-crypto-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: directory,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700]
        )
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    func path(_ name: String) -> String { directory.appendingPathComponent(name).path }

    /// Writes a file that only the owner can read, as ssh-keygen wants keys to be.
    func write(_ name: String, _ bytes: some Sequence<UInt8>) throws {
        let isWritten = FileManager.default.createFile(
            atPath: path(name),
            contents: Data(bytes),
            attributes: [.posixPermissions: 0o600]
        )
        guard isWritten else { throw CocoaError(.fileWriteUnknown) }
    }

    func read(_ name: String) throws -> [UInt8] {
        // Data(contentsOf:) leaks its buffer when the file is empty (Swift 6.3.1), which the address sanitizer reports.
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path(name)))
        return try [UInt8](file.readToEnd() ?? Data())
    }

    func text(_ name: String) throws -> String { String(decoding: try read(name), as: UTF8.self) }

    /// Runs ssh-keygen here. Files replace pipes, which could fill up.
    @discardableResult
    func keygen(_ arguments: String..., input: [UInt8] = []) throws -> Output {
        try keygen(arguments, input: input)
    }

    /// Makes a key file `name` and `name.pub`.
    func makeKey(_ name: String, type: String = "ed25519", comment: String = "test key", passphrase: String = "") throws
    {
        let bits = type == "rsa" ? ["-b", "1024"] : []
        let result = try keygen(["-q", "-t", type] + bits + ["-N", passphrase, "-C", comment, "-f", name])
        guard result.status == 0 else { throw Failed(what: result.error) }
    }

    /// A step of a test's preparation that went wrong.
    struct Failed: Error { let what: String }

    private func keygen(_ arguments: [String], input: [UInt8] = []) throws -> Output {
        try write("stdin", input)
        try write("stdout", [])
        try write("stderr", [])
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/ssh-keygen")
        process.arguments = arguments
        process.currentDirectoryURL = directory
        process.environment = ["HOME": directory.path, "TZ": "UTC", "LC_ALL": "C", "PATH": "/usr/bin:/bin"]
        process.standardInput = try FileHandle(forReadingFrom: URL(fileURLWithPath: path("stdin")))
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: path("stdout")))
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: path("stderr")))
        try process.run()
        process.waitUntilExit()
        return Output(status: process.terminationStatus, output: try text("stdout"), error: try text("stderr"))
    }
}
