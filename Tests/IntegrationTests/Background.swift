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

// MARK: Signs of what it has done

/// What the kernel says of the program: so that a test of what must not happen waits for what must come before it, and not
/// for some time.
extension Background {
    /// More than the program reads in a moment of anything else.
    private static let filler = Data("{\(String(repeating: " ", count: 1 << 18))}\n".utf8)

    /// Waits until the program has read lines to their end that are appended to a file, and has done what follows from them.
    ///
    /// A long line that says nothing is appended: once that was read, all before it was.
    func readsToEnd(of path: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let before = bytesRead
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.seekToEnd()
        try file.write(contentsOf: Self.filler)
        try file.close()
        eventually(within: .seconds(10), "it reads \(path): \(output)", sourceLocation: sourceLocation) {
            bytesRead >= before + Self.filler.count
        }
        rests(sourceLocation: sourceLocation)
    }

    /// Waits until each of its threads waits for something: what it was woken for is done.
    func rests(sourceLocation: SourceLocation = #_sourceLocation) {
        eventually(within: .seconds(10), "it rests: \(output)", sourceLocation: sourceLocation) {
            guard allWait else { return false }
            usleep(20_000)
            return allWait
        }
    }

    private var child: String {
        (try? String(contentsOfFile: "\(log).pid", encoding: .utf8).trimmingCharacters(in: .newlines)) ?? ""
    }

    private var bytesRead: Int {
        let counts = (try? String(contentsOfFile: "/proc/\(child)/io", encoding: .utf8)) ?? ""
        let line = counts.split(separator: "\n").first { $0.hasPrefix("rchar: ") }
        return line.flatMap { Int($0.dropFirst("rchar: ".count)) } ?? 0
    }

    private var allWait: Bool {
        let tasks = "/proc/\(child)/task"
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
        return threads.allSatisfy { thread in
            let status = (try? String(contentsOfFile: "\(tasks)/\(thread)/stat", encoding: .utf8)) ?? ""
            // A thread that has just ended says nothing.
            return status.isEmpty || status.contains(") S ")
        }
    }
}

/// Waits for the next second: records have whole ones, so that what comes from now on is later than what was.
func nextSecond() {
    let now = Date().timeIntervalSince1970
    usleep(UInt32((1 - now.truncatingRemainder(dividingBy: 1)) * 1_000_000) + 1_000)
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
