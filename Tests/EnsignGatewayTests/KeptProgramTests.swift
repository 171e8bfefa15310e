import EnsignCrypto
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignGateway

@Suite("A program that is started as the operator's file says, or not at all")
struct KeptProgramTests {
    private let scratch: ScratchDirectory

    init() throws {
        _ = ignoresBrokenPipes
        scratch = try ScratchDirectory()
    }

    private func sha256(_ path: String) throws -> String {
        SHA256.hex(of: try #require(try Files.read(path, limit: 1 << 28)))
    }

    private func script(_ text: String) throws -> String {
        let path = try scratch.write("server", text)
        _ = unsafe chmod(path, 0o755)
        return path
    }

    /// What a program writes until its end, or until a line is whole.
    private func line(_ program: KeptProgram) -> String {
        var text: [UInt8] = []
        while text.last != 0x0A {
            var polled = pollfd(fd: program.output, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&polled, 1, 10_000) > 0 else { break }
            var byte: UInt8 = 0
            guard unsafe read(program.output, &byte, 1) == 1 else { break }
            text.append(byte)
        }
        return String(decoding: text, as: UTF8.self)
    }

    private func isGone(_ process: pid_t) -> Bool {
        for _ in 0..<300 {
            let stat = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
            if stat.isEmpty || stat.contains(") Z ") { return true }
            usleep(20_000)
        }
        return false
    }

    private static let path = ["PATH": "/usr/bin:/bin"]

    @Test("a program with another digest is not run")
    func otherDigest() throws {
        let path = try script("#!/bin/sh\ntouch \(scratch.path)/ran\n")
        let digest = try sha256(path)
        try scratch.write("server", "#!/bin/sh\ntouch \(scratch.path)/ran; :\n")
        #expect(throws: UpstreamFailure.self) {
            _ = try ProgramAddress(words: [path], sha256: digest).start(environment: Self.path)
        }
        #expect(!scratch.exists("ran"))
        let upstream = ProgramUpstream(ProgramAddress(words: [path], sha256: digest), secrets: { [] }, version: "0")
        let call = UpstreamCall(tool: "x", arguments: [:], timeout: .seconds(5), cancellation: Cancellation())
        guard case .notSent(let failure) = upstream.call(call) else { return #expect(Bool(false)) }
        #expect(failure.message.contains("SHA-256"))
    }

    @Test("a script runs as it was when its digest was taken, whatever is written to it meanwhile")
    func script() throws {
        let path = try script("#!/bin/sh\nread word\necho \"mine $word $1\"\n")
        let address = ProgramAddress(words: [path, "one"], directory: scratch.path, sha256: try sha256(path))
        let program = try address.start(environment: Self.path)
        // In place: the same file.
        let file = try #require(FileHandle(forWritingAtPath: path))
        try file.write(contentsOf: Data("#!/bin/sh\nread word\necho \"evil $word $1\"\n".utf8))
        try file.close()
        #expect(unsafe write(program.input, "hi\n", 3) == 3)
        #expect(line(program) == "mine hi one\n")
        program.end()
        #expect(throws: UpstreamFailure.self) { _ = try address.start(environment: Self.path) }
    }

    @Test("machine code runs by the file that was looked at, under its own name")
    func machineCode() throws {
        let path = "\(scratch.path)/server"
        try FileManager.default.copyItem(atPath: "/usr/bin/readlink", toPath: path)
        let address = ProgramAddress(words: [path, "/proc/self/exe"], sha256: try sha256(path))
        let program = try address.start(environment: Self.path)
        #expect(line(program) == "\(path)\n")
        program.end()
        let open = try ProgramAddress(words: [path, "/proc/self/fd/3"], sha256: try sha256(path)).start(environment: [:]
        )
        // Nothing of ours is open in it.
        #expect(line(open).isEmpty)
        open.end()
    }

    @Test("a sandbox shows the program that was looked at", .enabled(if: Self.canSandbox))
    func sandbox() throws {
        let path = try script("#!/bin/sh\necho \"$0\"; ls -l \"$0\" | cut -c1-10; echo x >> \"$0\" || echo held\n")
        let bubblewrap = try #require(Surroundings.bubblewrap)
        let words = [
            bubblewrap, "--unshare-all", "--ro-bind", "/usr", "/usr", "--ro-bind-try", "/bin", "/bin", "--ro-bind-try",
            "/lib", "/lib", "--ro-bind-try", "/lib64", "/lib64", "--ro-bind", path, path, "--", path,
        ]
        let address = ProgramAddress(words: words, program: path, sha256: try sha256(path))
        let program = try address.start(environment: Self.path)
        #expect(line(program) == "\(path)\n")
        #expect(line(program) == "-r-xr-xr-x\n")
        #expect(line(program) == "held\n")
        program.end()
        let other = ProgramAddress(words: [bubblewrap, "--", path], program: path, sha256: try sha256(path))
        #expect(throws: UpstreamFailure.self) { _ = try other.start(environment: Self.path) }
    }

    private static var canSandbox: Bool {
        guard let bubblewrap = Surroundings.bubblewrap else { return false }
        let outcome = try? Subprocess(bubblewrap, ["--unshare-all", "--ro-bind", "/", "/", "--", "/bin/true"]).run()
        return outcome?.status == 0
    }

    @Test("another account is taken whole, and one that cannot be taken is not", .enabled(if: getuid() == 0))
    func account() throws {
        let words = ["/bin/sh", "-c", "echo $(id -u) $(id -g) $(id -G) $(cat /proc/self/status | grep CapEff)"]
        let program = try ProgramAddress(words: words, user: "nobody").start(environment: Self.path)
        #expect(line(program) == "65534 65534 65534 CapEff: 0000000000000000\n")
        program.end()
        let path = try script("#!/bin/sh\nid -u\n")
        _ = unsafe chmod(scratch.path, 0o755)
        let held = try ProgramAddress(words: [path], sha256: try sha256(path), user: "nobody").start(
            environment: Self.path
        )
        #expect(line(held) == "65534\n")
        held.end()
        #expect(throws: UpstreamFailure.self) {
            _ = try ProgramAddress(words: ["/bin/true"], user: "nobody-of-that-name").start(environment: [:])
        }
    }

    @Test("what is not there is not started, and the reason is the kernel's")
    func missing() throws {
        do throws(UpstreamFailure) {
            _ = try ProgramAddress(words: ["/does/not/exist"]).start(environment: [:])
        } catch {
            #expect(error.kind == .unreachable && error.message.contains("No such file"))
        }
        do throws(UpstreamFailure) {
            _ = try ProgramAddress(words: ["/bin/true"], directory: "/does/not/exist").start(environment: [:])
        } catch {
            #expect(error.message.contains("No such file"))
        }
    }

    @Test("nothing that a program starts outlives it, not in a session of its own, and not when the keeper is killed")
    func escapes() throws {
        let words = ["/bin/sh", "-c", "setsid sh -c 'sleep 300 & echo $!' & wait; sleep 300 & echo $!; cat"]
        for isForced in [false, true] {
            let program = try ProgramAddress(words: words).start(environment: Self.path)
            let children = [line(program), line(program)].compactMap { pid_t($0.dropLast()) }
            #expect(children.count == 2)
            if isForced {
                // The program itself ends with its keeper.
                let parent = try #require(pid_t(try parent(of: children[1])))
                kill(program.keeper, SIGKILL)
                #expect(isGone(parent))
                for child in children { kill(child, SIGKILL) }
            }
            program.end()
            if !isForced { for child in children { #expect(isGone(child)) } }
        }
    }

    private func parent(of process: pid_t) throws -> String {
        let stat = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        return stat.components(separatedBy: ") ").last?.components(separatedBy: " ")[1] ?? ""
    }

    @Test("the program gets nothing of this process but its streams")
    func descriptors() throws {
        let mine = try FileDescriptor(scratch.path, O_RDONLY)
        #expect(fcntl(mine.number, F_SETFD, 0) == 0)
        let program = try ProgramAddress(
            words: ["/bin/sh", "-c", "test -e /proc/$$/fd/\(mine.number) && echo open || echo closed; env; cat"],
            directory: "/"
        )
        .start(environment: ["A": "b"])
        #expect(line(program) == "closed\n")
        #expect(["A=b\n", "PWD=/\n"].contains(line(program)))
        program.end()
        #expect(mine.number >= 0)
    }
}
