import CKeeper
package import Glibc

/// A program that serves this process over its standard streams until one of the two ends, and nothing of which outlives this
/// process: not what it started, not in a session of its own, not when this process is killed.
///
/// The process must ignore SIGPIPE.
package final class KeptProgram: Sendable {
    /// How it is started.
    package struct Plan {
        /// The file to run, and its arguments: absolute, unless ``file`` is what is run.
        package var path: String
        package var words: [String]
        package var environment: [String: String]
        package var directory: String?
        /// An open file that is run, whatever the path leads to by now; -1 for the path. The caller's.
        package var file: Int32 = -1
        /// What the program gets as its descriptor 3; -1 for nothing. The caller's.
        package var third: Int32 = -1
        /// Nil for this process's own account.
        package var account: UInt32?
        /// Whether SIGHUP and SIGTERM that its keeper gets are passed on to it.
        package var passesSignals = false

        package init(_ words: [String], environment: [String: String], directory: String?) {
            path = words.first ?? ""
            self.words = words
            self.environment = environment
            self.directory = directory
        }
    }

    package let keeper: pid_t
    private let life: FileDescriptor
    private let inputEnd: FileDescriptor
    private let outputEnd: FileDescriptor
    private let errorsEnd: FileDescriptor
    private let isEnded = Flag()

    /// What it reads. Does not block, as the other two.
    package var input: Int32 { inputEnd.number }
    /// What it writes.
    package var output: Int32 { outputEnd.number }
    package var errors: Int32 { errorsEnd.number }

    /// The most groups of an account.
    private static let mostGroups: Int32 = 1_024

    /// Starts it.
    ///
    /// - Throws: ``SystemError`` when it cannot be started exactly so.
    package init(_ plan: Plan) throws(SystemError) {
        let operation = "run \(plan.words.first ?? plan.path)"
        var (gid, groups): (UInt32, [UInt32]) = (0, [])
        if let uid = plan.account {
            groups = [UInt32](repeating: 0, count: Int(Self.mostGroups))
            let count = unsafe ckeeper_groups(uid, &gid, &groups, Self.mostGroups)
            guard count >= 0 else { throw SystemError(code: EINVAL, operation: "\(operation) as account \(uid)") }
            groups.removeLast(groups.count - Int(count))
        }
        var started = ckeeper_started()
        let code = Self.start(plan, gid, groups, &started)
        guard code == 0 else { throw SystemError(code: code, operation: operation) }
        keeper = started.keeper
        life = FileDescriptor(owning: started.life)
        inputEnd = FileDescriptor(owning: started.input)
        outputEnd = FileDescriptor(owning: started.output)
        errorsEnd = FileDescriptor(owning: started.errors)
    }

    private static func start(
        _ plan: Plan,
        _ gid: UInt32,
        _ groups: [UInt32],
        _ started: inout ckeeper_started
    ) -> Int32 {
        var words: [UnsafeMutablePointer<CChar>?] = unsafe plan.words.map { unsafe strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] =
            unsafe plan.environment.sorted { $0.key < $1.key }.map { unsafe strdup("\($0.key)=\($0.value)") } + [nil]
        let directory = unsafe plan.directory.map { unsafe strdup($0) }
        let path = unsafe strdup(plan.path)
        var groups = groups
        defer {
            for index in unsafe words.indices { unsafe free(words[index]) }
            for index in unsafe variables.indices { unsafe free(variables[index]) }
            unsafe free(directory ?? nil)
            unsafe free(path)
        }
        let count = groups.count
        return unsafe words.withUnsafeMutableBufferPointer { words in
            unsafe variables.withUnsafeMutableBufferPointer { variables in
                unsafe groups.withUnsafeMutableBufferPointer { groups in
                    guard let first = words.baseAddress, let all = variables.baseAddress, let path = unsafe path else {
                        return ENOMEM
                    }
                    var program = unsafe ckeeper_program(
                        path: path,
                        file: plan.file,
                        third: plan.third,
                        words: first,
                        variables: all,
                        directory: directory ?? nil,
                        has_account: plan.account == nil ? 0 : 1,
                        uid: plan.account ?? 0,
                        gid: gid,
                        groups: groups.baseAddress,
                        group_count: count,
                        passes_signals: plan.passesSignals ? 1 : 0
                    )
                    return unsafe ckeeper_start(&program, &started)
                }
            }
        }
    }

    deinit { end() }

    /// Closes its input, waits a moment, and ends what is left of it. Again does nothing.
    package func end(patience: Duration = .milliseconds(500)) {
        guard isEnded.setFirst() else { return }
        // Closed for the others; the numbers themselves are closed with this object.
        _ = ckeeper_shut(inputEnd.number)
        if hasExited(within: patience) { return }
        // The keeper asks politely for a second, and then does not.
        _ = ckeeper_shut(life.number)
        if hasExited(within: .seconds(5)) { return }
        kill(keeper, SIGKILL)
        _ = hasExited(within: .seconds(2))
    }

    /// Has the keeper end what is left of it, and waits for nothing.
    func release() { _ = ckeeper_shut(life.number) }

    private func hasExited(within time: Duration) -> Bool {
        var status: Int32 = 0
        let deadline = ContinuousClock.now + time
        repeat {
            if unsafe waitpid(keeper, &status, WNOHANG) != 0 { return true }
            usleep(2_000)
        } while ContinuousClock.now < deadline
        return false
    }

    /// A file in memory that nobody can change any more, closed in other programs.
    ///
    /// - Throws: ``SystemError`` when there is no room for it.
    package static func sealed(_ bytes: [UInt8], operation: String) throws(SystemError) -> FileDescriptor {
        let file = unsafe bytes.withUnsafeBufferPointer { bytes in
            unsafe bytes.baseAddress.map { unsafe ckeeper_sealed($0, bytes.count) } ?? -1
        }
        guard file >= 0 else { throw SystemError(code: errno, operation: operation) }
        return FileDescriptor(owning: file)
    }
}
