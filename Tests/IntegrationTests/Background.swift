import EnsignTestSupport
import Foundation
import Testing

/// A program that runs beside a test and never outlives it.
///
/// A shell between the two reads from a pipe that this process holds: the signal to send, or nothing when the pipe closes
/// because the test failed or the whole test run was killed; then it kills the program.
final class Background: @unchecked Sendable {
    // Process is used from one test at a time; `ended` only changes in `stop`.
    private let process = Process()
    private let leash = Pipe()
    private let log: String
    private var ended = false

    private static let script = """
        "$@" </dev/null &
        child=$!
        echo $child >"$0"
        read -r signal
        kill -"${signal:-KILL}" $child
        wait $child
        """

    /// - Parameters:
    ///   - log: Where the program's output goes, both streams.
    ///   - environment: Set on top of the fixed one.
    init(
        _ program: String,
        _ arguments: [String],
        in directory: String,
        log: String,
        environment: [String: String] = [:]
    ) throws {
        self.log = log
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", Self.script, "\(log).pid", program] + arguments
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        process.environment = closedWorld(home: directory).merging(environment) { _, new in new }
        process.standardInput = leash
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        process.standardOutput = file
        process.standardError = file
        try process.runUnmasked()
        try file.close()
    }

    deinit { if !ended { try? leash.fileHandleForWriting.close() } }

    var output: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

    /// Ends it with SIGTERM, or another signal, and returns its exit status; 128 and more is a signal.
    func stop(_ signal: String = "TERM") throws -> Int32 {
        try leash.fileHandleForWriting.write(contentsOf: Data("\(signal)\n".utf8))
        eventually(within: .seconds(10), "it ends after SIG\(signal): \(output)") { !process.isRunning }
        if process.isRunning, let child = try pid_t(String(contentsOfFile: "\(log).pid", encoding: .utf8).dropLast()) {
            kill(child, SIGKILL)
        }
        ended = true
        try leash.fileHandleForWriting.close()
        process.waitUntilExit()
        return process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    }
}

/// Waits until something holds; the test fails when it does not in time.
///
/// - Returns: How long it took.
@discardableResult
func eventually(
    within limit: Duration,
    _ what: @autoclosure () -> String,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () throws -> Bool
) rethrows -> Duration {
    let start = ContinuousClock.now
    while ContinuousClock.now - start < limit {
        if try condition() { return ContinuousClock.now - start }
        usleep(20_000)
    }
    Issue.record("not within \(limit): \(what())", sourceLocation: sourceLocation)
    return ContinuousClock.now - start
}
