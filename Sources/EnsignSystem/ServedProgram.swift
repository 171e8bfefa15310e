import CSystem
import Glibc

/// A program that serves this process over its standard streams until one of the two ends.
///
/// It leads a process group, which is ended as one. The process must ignore SIGPIPE.
package final class ServedProgram: Sendable {
    private let child: pid_t
    /// Does not block, as the other two.
    private let inputEnd: FileDescriptor
    private let outputEnd: FileDescriptor
    private let errorsEnd: FileDescriptor
    private let isEnded = Flag()

    /// What it reads.
    package var input: Int32 { inputEnd.number }
    /// What it writes.
    package var output: Int32 { outputEnd.number }
    package var errors: Int32 { errorsEnd.number }

    /// Starts the program.
    ///
    /// - Parameters:
    ///   - words: An absolute path and arguments, one or more.
    ///   - environment: All that it gets.
    package init(_ words: [String], environment: [String: String], directory: String? = nil) throws(SystemError) {
        guard let program = words.first else { throw SystemError(code: EINVAL, operation: "run no program") }
        var child = Subprocess(program, Array(words.dropFirst()), environment: environment, directory: directory)
        child.inheritsEnvironment = false
        let (input, output, errors) = (
            try Subprocess.Pipe(), try Subprocess.Pipe(), try Subprocess.Pipe()
        )
        inputEnd = FileDescriptor(owning: input.write)
        outputEnd = FileDescriptor(owning: output.read)
        errorsEnd = FileDescriptor(owning: errors.read)
        defer {
            close(input.read)
            close(output.write)
            close(errors.write)
        }
        for number in [input.write, output.read, errors.read] {
            try attempt("talk to \(program)") { csystem_do_not_block(number) }
        }
        self.child = try child.start(input.read, output.write, errors.write, ownGroup: true, ownSession: false)
    }

    deinit { end() }

    /// Closes its input, waits a moment, and ends what is left of it. Again does nothing.
    package func end(patience: Duration = .milliseconds(500)) {
        guard isEnded.setFirst() else { return }
        // Closed for the program; the number itself is closed with this object.
        _ = csystem_shut(inputEnd.number)
        var hasExited = hasExited(within: patience)
        if !hasExited {
            kill(-child, SIGTERM)
            hasExited = self.hasExited(within: .seconds(1))
        }
        kill(-child, SIGKILL)
        if !hasExited { _ = self.hasExited(within: .seconds(2)) }
    }

    private func hasExited(within time: Duration) -> Bool {
        var status: Int32 = 0
        let deadline = ContinuousClock.now + time
        repeat {
            if unsafe waitpid(child, &status, WNOHANG) != 0 { return true }
            usleep(2_000)
        } while ContinuousClock.now < deadline
        return false
    }
}
