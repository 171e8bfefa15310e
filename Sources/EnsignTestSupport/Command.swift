import Dispatch
import Foundation

/// What a finished program left.
package struct CommandResult: Sendable {
    package var status: Int32
    package var output: String
    package var errors: String

    package init(status: Int32, output: String, errors: String) {
        self.status = status
        self.output = output
        self.errors = errors
    }
}

/// Runs a program in a closed world: no user configuration, a fixed time zone and width.
///
/// - Parameter environment: Set on top of the fixed one.
package func run(
    _ program: String,
    _ arguments: [String],
    in directory: String,
    environment: [String: String] = [:],
    input: String = ""
) throws -> CommandResult {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    process.currentDirectoryURL = URL(fileURLWithPath: directory)
    var variables = [
        "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin", "HOME": directory, "TZ": "UTC",
        "COLUMNS": "80", "LANG": "C.UTF-8", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com", "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.com",
    ]
    variables.merge(environment) { _, new in new }
    process.environment = variables
    let (stdin, stdout, stderr) = (Pipe(), Pipe(), Pipe())
    process.standardInput = stdin
    process.standardOutput = stdout
    process.standardError = stderr
    try process.run()
    // Both streams are drained at once: a full pipe would stop the program.
    let group = DispatchGroup()
    let box = Box()
    DispatchQueue.global().async(group: group) { box.set(errors: stderr.fileHandleForReading.readDataToEndOfFile()) }
    DispatchQueue.global().async(group: group) {
        try? stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try? stdin.fileHandleForWriting.close()
    }
    let output = stdout.fileHandleForReading.readDataToEndOfFile()
    group.wait()
    process.waitUntilExit()
    let status = process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    return CommandResult(
        status: status,
        output: String(decoding: output, as: UTF8.self),
        errors: String(decoding: box.errors, as: UTF8.self)
    )
}

private final class Box: @unchecked Sendable {
    // Written once before the group is left, read after the wait.
    private(set) var errors = Data()
    func set(errors: Data) { self.errors = errors }
}
