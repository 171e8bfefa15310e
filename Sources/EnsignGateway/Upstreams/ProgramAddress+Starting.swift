import EnsignCrypto
import EnsignSystem
import Glibc

/// How a program is started exactly as the operator's file says. What cannot be held is not started.
extension ProgramAddress {
    /// The most bytes of a program whose digest is held.
    private static let most = 256 << 20

    /// Starts it.
    ///
    /// - Throws: ``UpstreamFailure`` when its digest is another one, the account cannot be taken, or it cannot be run.
    func start(environment: [String: String]) throws(UpstreamFailure) -> KeptProgram {
        do throws(SystemError) {
            var plan = KeptProgram.Plan(words, environment: environment, directory: directory)
            plan.account = try account()
            guard let sha256 else { return try KeptProgram(plan) }
            return try start(plan, holding: sha256)
        } catch {
            throw UpstreamFailure(.unreachable, error.description)
        }
    }

    /// The account that it runs as; nil where that is this process's own.
    private func account() throws(SystemError) -> UInt32? {
        guard let user else { return nil }
        let operation = "run \(program) as '\(user)'"
        guard let number = Machine.number(ofAccount: user) else {
            throw SystemError(code: EINVAL, operation: operation)
        }
        guard number != Machine.effectiveUserID else { return nil }
        guard Machine.effectiveUserID == 0 else { throw SystemError(code: EPERM, operation: operation) }
        return number
    }

    /// Starts what has been looked at, and nothing else: machine code by its open file; a script, and what a sandbox shows,
    /// from a copy in memory that nobody can change.
    private func start(_ plan: KeptProgram.Plan, holding sha256: String) throws(SystemError) -> KeptProgram {
        var plan = plan
        let file = try FileDescriptor(program, O_RDONLY, operation: "run \(program)")
        let before = try stamp(of: file.number)
        let bytes = try file.read(limit: Self.most, from: program)
        guard SHA256.hex(of: bytes) == sha256 else {
            throw SystemError(code: ENOEXEC, operation: "run \(program), whose SHA-256 is not the operator's file's")
        }
        let isSandboxed = words.first != program
        guard isSandboxed || bytes.starts(with: "#!".utf8) else {
            plan.file = file.number
            let started = try KeptProgram(plan)
            // What runs cannot be written to (execve(2), ETXTBSY): what is the same now was the same all the time.
            guard try stamp(of: file.number) == before else {
                started.end(patience: .zero)
                throw SystemError(code: ETXTBSY, operation: "run \(program), which has been changed meanwhile")
            }
            return started
        }
        let copy = try KeptProgram.sealed(bytes, operation: "copy \(program)")
        plan.third = copy.number
        if isSandboxed {
            plan.words = try Self.showing(program, words)
        } else {
            plan.path = "/proc/self/fd/3"
        }
        return try withExtendedLifetime(copy) { () throws(SystemError) in try KeptProgram(plan) }
    }

    /// The words of bwrap(1) that show its descriptor 3 where they would show a file.
    private static func showing(_ program: String, _ words: [String]) throws(SystemError) -> [String] {
        let option = ["--ro-bind", program, program]
        let end = words.firstIndex(of: "--") ?? words.count
        guard let place = words[..<end].indices.first(where: { words[$0..<end].starts(with: option) }) else {
            throw SystemError(code: EINVAL, operation: "show \(program) to its sandbox")
        }
        var words = words
        words.replaceSubrange(place..<(place + 3), with: ["--perms", "0555", "--ro-bind-data", "3", program])
        return words
    }

    private struct Stamp: Equatable {
        var size: Int
        var changed: [Int]
    }

    /// What differs as soon as somebody has written to a file.
    private func stamp(of number: Int32) throws(SystemError) -> Stamp {
        while true {
            var info = stat()
            guard unsafe fstat(number, &info) == 0 else {
                throw SystemError(code: errno, operation: "look at \(program)")
            }
            var now = timespec()
            unsafe clock_gettime(CLOCK_REALTIME, &now)
            let age = (now.tv_sec - info.st_ctim.tv_sec) * 1_000 + (now.tv_nsec - info.st_ctim.tv_nsec) / 1_000_000
            // The clock of files goes in steps: two changes may have the same time.
            guard (0..<50).contains(age) else {
                return Stamp(
                    size: Int(info.st_size),
                    changed: [
                        info.st_ctim.tv_sec, info.st_ctim.tv_nsec, info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
                    ]
                )
            }
            Machine.pause(milliseconds: 50)
        }
    }
}
