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
/// - Parameter environment: Added to the fixed one.
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
    process.environment = closedWorld(home: directory).merging(environment) { _, new in new }
    let (stdin, stdout, stderr) = (Pipe(), Pipe(), Pipe())
    process.standardInput = stdin
    process.standardOutput = stdout
    process.standardError = stderr
    try process.runUnmasked()
    // Both streams are drained at once: a full pipe would stop the program.
    let group = DispatchGroup()
    let box = Box()
    DispatchQueue.global().async(group: group) { box.set(errors: stderr.fileHandleForReading.readDataToEndOfFile()) }
    DispatchQueue.global().async(group: group) {
        withoutPipeSignal { try? stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8)) }
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

/// Writes to a program that may have ended: its SIGPIPE must not end the test run.
private func withoutPipeSignal(_ body: () -> Void) {
    var pipe = sigset_t()
    var before = sigset_t()
    unsafe sigemptyset(&pipe)
    unsafe sigaddset(&pipe, SIGPIPE)
    unsafe pthread_sigmask(SIG_BLOCK, &pipe, &before)
    body()
    var atOnce = timespec()
    _ = unsafe sigtimedwait(&pipe, nil, &atOnce)
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
}

/// The environment of every program that a test starts: no user configuration, a fixed time zone and width.
package func closedWorld(home: String) -> [String: String] {
    [
        "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin", "HOME": home, "TZ": "UTC",
        "COLUMNS": "80", "LANG": "C.UTF-8", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com", "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.com",
    ]
}

extension Process {
    /// Starts the program with no signal blocked. A thread of the test run blocks nearly all of them, and a program
    /// inherits that: a shell then waits for its children forever.
    package func runUnmasked() throws {
        var none = sigset_t()
        var before = sigset_t()
        unsafe sigemptyset(&none)
        unsafe pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
        try run()
    }
}

private final class Box: @unchecked Sendable {
    // Written once before the group is left, read after the wait.
    private(set) var errors = Data()
    func set(errors: Data) { self.errors = errors }
}
