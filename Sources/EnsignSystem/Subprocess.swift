import CSystem
import Glibc

/// Another program, run to its end.
package struct Subprocess: Sendable {
    package var program: String
    package var arguments: [String]
    /// Set in the child on top of this process's environment; nil removes.
    package var environment: [String: String?]
    package var directory: String?
    package var input: [UInt8]
    /// The child gets SIGTERM after this long, SIGKILL two seconds later.
    package var deadline: Duration
    /// The most bytes kept of each output stream; the rest is read and dropped.
    package var outputLimit: Int
    /// Whether the child gets this process's environment beneath the variables set here.
    package var inheritsEnvironment = true
    /// Whether the child leads its own process group, and signals go to all of it.
    package var leadsGroup = false
    /// Asked now and then while the child runs: true ends it as the deadline does.
    package var isCancelled: @Sendable () -> Bool = { false }

    package init(
        _ program: String,
        _ arguments: [String],
        environment: [String: String?] = [:],
        directory: String? = nil,
        input: [UInt8] = [],
        deadline: Duration = .seconds(60),
        outputLimit: Int = 1 << 24
    ) {
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
        self.input = input
        self.deadline = deadline
        self.outputLimit = outputLimit
    }

    /// What a finished program left. A non-zero status is a result, not an error.
    package struct Outcome: Sendable {
        /// The exit status, or 128 and the number of the signal that ended it.
        package var status: Int32
        package var output: [UInt8]
        package var errors: [UInt8]
        package var timedOut: Bool

        package init(status: Int32, output: [UInt8], errors: [UInt8], timedOut: Bool) {
            self.status = status
            self.output = output
            self.errors = errors
            self.timedOut = timedOut
        }

        package var outputText: String { String(decoding: output, as: UTF8.self) }
        package var errorText: String { String(decoding: errors, as: UTF8.self) }
    }

    /// Runs the program.
    ///
    /// - Throws: ``SystemError`` when it cannot be started.
    package func run() throws(SystemError) -> Outcome {
        let input = try Pipe()
        let output = try Pipe()
        let errors = try Pipe()
        let child = try start(input.read, output.write, errors.write, ownGroup: leadsGroup, ownSession: false)
        close(input.read)
        close(output.write)
        close(errors.write)
        return try attend(
            child,
            input: FileDescriptor(owning: input.write),
            bytes: self.input,
            output: FileDescriptor(owning: output.read),
            errors: FileDescriptor(owning: errors.read)
        )
    }

    /// Starts the program in its own session, with nothing to read and nowhere to write, and does not wait for it.
    ///
    /// - Throws: ``SystemError`` when it cannot be started.
    package func detach() throws(SystemError) {
        let nothing = try FileDescriptor("/dev/null", O_RDWR, operation: "open /dev/null")
        _ = try start(nothing.number, nothing.number, nothing.number, ownGroup: false, ownSession: true)
    }

    struct Pipe {
        let read: Int32
        let write: Int32

        init() throws(SystemError) {
            var ends: [Int32] = [0, 0]
            try attempt("make a pipe") { unsafe csystem_pipe(&ends) }
            (read, write) = (ends[0], ends[1])
        }
    }

    func start(_ input: Int32, _ output: Int32, _ errors: Int32, ownGroup: Bool, ownSession: Bool)
        throws(SystemError) -> pid_t
    {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
        unsafe posix_spawn_file_actions_adddup2(&actions, errors, 2)
        // A child that outlives this process would keep open whatever other code left open here.
        if ownGroup || ownSession { _ = unsafe csystem_spawn_closing(&actions, 3) }
        if let directory { _ = unsafe csystem_spawn_in(&actions, directory) }
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // The child starts with default signal handling, whatever this process ignores or blocks.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigaddset(&signals, SIGPIPE)
        unsafe sigaddset(&signals, SIGXFSZ)
        unsafe sigaddset(&signals, SIGTERM)
        unsafe sigaddset(&signals, SIGINT)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        var flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        // The flag's macro needs _GNU_SOURCE; its value is part of the ABI.
        if ownSession { flags |= 0x80 }
        if ownGroup { flags |= POSIX_SPAWN_SETPGROUP }
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

        var words: [UnsafeMutablePointer<CChar>?] = unsafe ([program] + arguments).map { unsafe strdup($0) }
        unsafe words.append(nil)
        var variables = inheritsEnvironment ? Self.currentEnvironment() : [:]
        for (name, value) in environment { variables[name] = value }
        var settings: [UnsafeMutablePointer<CChar>?] = unsafe variables.sorted { $0.key < $1.key }
            .map { unsafe strdup("\($0.key)=\($0.value)") }
        unsafe settings.append(nil)
        defer {
            for index in unsafe words.indices { unsafe free(words[index]) }
            for index in unsafe settings.indices { unsafe free(settings[index]) }
        }
        var child: pid_t = 0
        let status = unsafe posix_spawnp(&child, program, &actions, &attributes, words, settings)
        guard status == 0 else { throw SystemError(code: status, operation: "run \(program)") }
        return child
    }

    private static func currentEnvironment() -> [String: String] {
        var variables: [String: String] = [:]
        guard var entry = unsafe csystem_environment() else { return [:] }
        while let text = unsafe entry.pointee {
            let parts = unsafe String(cString: text).split(
                separator: "=",
                maxSplits: 1,
                omittingEmptySubsequences: false
            )
            if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
            unsafe entry += 1
        }
        return variables
    }

    private func attend(
        _ child: pid_t,
        input: consuming FileDescriptor,
        bytes: [UInt8],
        output: consuming FileDescriptor,
        errors: consuming FileDescriptor
    ) throws(SystemError) -> Outcome {
        var outcome = Outcome(status: 0, output: [], errors: [], timedOut: false)
        var input: FileDescriptor? = bytes.isEmpty ? nil : consume input
        var rest = bytes[...]
        var outputOpen = true
        var errorsOpen = true
        var ending = Ending(of: self, child)
        var status: Int32 = 0
        var ended: ContinuousClock.Instant?
        while outputOpen || errorsOpen {
            var inputNumber: Int32 = -1
            if let number = input?.number { inputNumber = number }
            var polls = [
                pollfd(fd: outputOpen ? output.number : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: errorsOpen ? errors.number : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: inputNumber, events: Int16(POLLOUT), revents: 0),
            ]
            if ending.isOver() { break }
            if ended == nil, unsafe waitpid(child, &status, WNOHANG) != 0 { ended = .now }
            let ready = unsafe poll(&polls, 3, ended == nil ? 50 : 0)
            if ready < 0, errno != EINTR { throw SystemError(code: errno, operation: "wait for a program") }
            // A grandchild may keep the pipes open after the program has ended: all of its output is already in them.
            if let ended, ready == 0 || ContinuousClock.now - ended > .milliseconds(500) { break }
            if polls[0].revents != 0 { outputOpen = Self.take(output.number, &outcome.output, outputLimit) }
            if polls[1].revents != 0 { errorsOpen = Self.take(errors.number, &outcome.errors, outputLimit) }
            if polls[2].revents != 0 {
                let written = unsafe rest.withUnsafeBytes {
                    unsafe write(inputNumber, $0.baseAddress, min($0.count, 4_096))
                }
                if written > 0 { rest = rest.dropFirst(written) }
                if rest.isEmpty || (written < 0 && errno != EINTR && errno != EAGAIN) { input = nil }
            }
        }
        input = nil
        // A program that closes its streams and continues must meet the deadline too.
        var pause: UInt32 = 100
        while ended == nil {
            guard try attempt("wait for a program", { unsafe waitpid(child, &status, WNOHANG) }) == 0 else { break }
            _ = ending.isOver()
            usleep(pause)
            pause = min(pause * 2, 20_000)
        }
        if ending.wasForced, leadsGroup { kill(-child, SIGKILL) }
        outcome.timedOut = ending.wasForced
        let signal = status & 0x7F
        outcome.status = signal == 0 ? (status >> 8) & 0xFF : 128 + signal
        return outcome
    }

    /// When a child is asked to end, and then made to.
    private struct Ending {
        private let child: pid_t
        private let deadline: Duration
        private let isCancelled: @Sendable () -> Bool
        private let start = ContinuousClock.now
        private var asked: ContinuousClock.Instant?
        private var isKilled = false

        /// Signals go to the child, or to its group.
        init(of program: Subprocess, _ child: pid_t) {
            self.child = program.leadsGroup ? -child : child
            deadline = program.deadline
            isCancelled = program.isCancelled
        }

        var wasForced: Bool { asked != nil }

        /// Sends the signal that is due: SIGTERM at the deadline, SIGKILL two seconds later.
        ///
        /// - Returns: Whether the wait is over: a second after SIGKILL.
        mutating func isOver() -> Bool {
            let now = ContinuousClock.now
            guard let asked else {
                if now - start >= deadline || isCancelled() {
                    kill(child, SIGTERM)
                    self.asked = now
                }
                return false
            }
            if !isKilled, now - asked >= .seconds(2) {
                kill(child, SIGKILL)
                isKilled = true
            }
            return now - asked >= .seconds(3)
        }
    }

    private static func take(_ descriptor: Int32, _ bytes: inout [UInt8], _ limit: Int) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe read(descriptor, &chunk, chunk.count)
        if count < 0 { return errno == EINTR || errno == EAGAIN }
        if count == 0 { return false }
        bytes.append(contentsOf: chunk.prefix(min(count, max(0, limit - bytes.count))))
        return true
    }
}
