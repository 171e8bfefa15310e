import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Glibc
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("Secrets")
struct SecretTests {
    /// A resolver that answers with what is in a file, and counts how often it was asked.
    private func shelf(_ scratch: ScratchDirectory, _ body: String) throws -> SecretShelf {
        let resolver = try scratch.write("resolve", "#!/bin/sh\n\(body)\n")
        #expect(unsafe Glibc.chmod(resolver, 0o755) == 0)
        return SecretShelf(["vault": [resolver]])
    }

    @Test("A secret is read once, and anew once somebody has refused it; the old one is still cut out")
    func rotation() throws {
        let scratch = try ScratchDirectory()
        try scratch.write("value", "first-secret\n")
        let shelf = try shelf(scratch, "cat \(scratch.path)/value")
        #expect(try shelf.secret("vault:x") == "first-secret")
        try scratch.write("value", "second\n")
        #expect(try shelf.secret("vault:x") == "first-secret")
        shelf.forget("vault:x")
        #expect(try shelf.secret("vault:x") == "second")
        let said = "first-secret, second"
        #expect(
            shelf.cutter.cut(said) == "[credentials], [credentials]",
            "a program may have been started with the first"
        )
    }

    @Test("A secret that is too short to be cut out is told to the operator")
    func short() throws {
        let scratch = try ScratchDirectory()
        let resolver = try scratch.write("resolve", "#!/bin/sh\necho ${1#vault:}\n")
        #expect(unsafe Glibc.chmod(resolver, 0o755) == 0)
        let said = Mutex<[String]>([])
        let shelf = SecretShelf(["vault": [resolver]]) { text in said.withLock { $0.append(text) } }
        #expect(try shelf.secret("vault:abcd") == "abcd")
        #expect(shelf.uncut.isEmpty && said.withLock { $0.isEmpty })
        #expect(try shelf.secret("vault:abc") == "abc")
        #expect(shelf.uncut == ["vault:abc"])
        #expect(
            said.withLock { $0 } == [
                "the secret of 'vault:abc' has fewer than 4 bytes: it is not cut out of what servers answer"
            ]
        )
    }

    @Test("What a slow command holds up is its own secret, not the answers of other servers")
    func slow() throws {
        let scratch = try ScratchDirectory()
        let shelf = try shelf(
            scratch,
            "touch \(scratch.path)/asked; while [ ! -e \(scratch.path)/go ]; do sleep 0.01; done; echo v4lue"
        )
        let thread = try Thread { _ = try? shelf.secret("vault:slow") }
        while try Files.status("\(scratch.path)/asked") == nil { Machine.pause(milliseconds: 1) }
        #expect(shelf.cutter.cut("v4lue") == "v4lue")
        try scratch.write("go", "")
        thread.join()
        #expect(shelf.cutter.cut("v4lue") == "[credentials]")
    }

    @Test("Those who want a secret wait for one command, whatever comes of it, each as long as it likes")
    func shared() throws {
        let scratch = try ScratchDirectory()
        let body = "echo x >>\(scratch.path)/asked; while [ ! -e \(scratch.path)/go ]; do sleep 0.01; done; exit 3"
        let shelf = try shelf(scratch, body)
        let failures = Mutex<[UpstreamFailure.Kind]>([])
        @Sendable func ask(_ time: Duration? = nil, _ cancellation: Cancellation = Cancellation()) {
            do throws(UpstreamFailure) {
                _ = try shelf.secret("vault:x", until: time.map { .now + $0 }, cancellation)
            } catch {
                let kind = error.kind
                failures.withLock { $0.append(kind) }
            }
        }
        let leaving = Cancellation()
        let first = try Thread { ask(nil, leaving) }
        while try Files.status("\(scratch.path)/asked") == nil { Machine.pause(milliseconds: 1) }
        ask(.milliseconds(50))
        #expect(failures.withLock { $0 } == [.timedOut])
        let others = try (0..<8).map { _ in try Thread { ask() } }
        leaving.cancel()
        first.join()
        #expect(failures.withLock { $0 } == [.timedOut, .cancelled])
        Machine.pause(milliseconds: 100)
        try scratch.write("go", "")
        for other in others { other.join() }
        #expect(failures.withLock { $0.dropFirst(2) } == Array(repeating: .unreachable, count: 8)[...])
        #expect(try scratch.read("asked") == "x\n")
        // A failure is that of those who waited for it.
        ask()
        #expect(try scratch.read("asked") == "x\nx\n")
    }

    @Test("At the end nobody waits for a command, and it is ended")
    func end() throws {
        let scratch = try ScratchDirectory()
        let shelf = try shelf(scratch, "touch \(scratch.path)/asked; exec sleep 60")
        let began = ContinuousClock.now
        let thread = try Thread { #expect(throws: UpstreamFailure.self) { try shelf.secret("vault:x") } }
        while try Files.status("\(scratch.path)/asked") == nil { Machine.pause(milliseconds: 1) }
        shelf.readNoMore()
        thread.join()
        shelf.end()
        #expect(ContinuousClock.now - began < .seconds(8))
    }

    @Test(
        "A secret is cut in every form in which text has it",
        arguments: ["q\"u\\o/te é<& x", "-----BEGIN KEY-----\nAAAABBBBCCCC+/\n-----END KEY-----\n", "pässwörter!"]
    )
    func forms(secret: String) throws {
        let cutter = SecretCutter([secret])
        var texts = [secret]
        // JSON, in JSON, in JSON, as libraries write it.
        for flags in ["ensure_ascii=True", "ensure_ascii=False"] {
            let once = "json.dumps(s, \(flags))"
            texts += try python("print(\(once))\nprint(json.dumps(\(once), \(flags)))", secret)
        }
        texts += try python(
            """
            q = urllib.parse.quote
            for form in (q(s), q(s, safe=""), q(s, safe="!*'()"), urllib.parse.quote_plus(s)):
                print(form)
                print(re.sub("%..", lambda found: found[0].lower(), form))
            for user in ("", "u", "us"):
                for encode in (base64.b64encode, base64.urlsafe_b64encode):
                    print(encode((user + s).encode()).decode())
            """,
            secret
        )
        #expect(texts.count == 19)
        for text in texts {
            let cut = cutter.cut("x \(text) y")
            #expect(cut.contains("[credentials]"), "\(text)")
            // Of base64 the characters on its edges may be other bytes', too.
            #expect(cut.utf8.count <= "x [credentials] y".utf8.count + 6 + (secret.contains("\n") ? 120 : 0), "\(cut)")
            for piece in ["AAAABBBB", "QUFBQUJC", "o/te", "sswörter"] { #expect(!cut.contains(piece), "\(cut)") }
        }
        #expect(cutter.cut("what else there is") == "what else there is")
    }

    /// The lines that a script prints of a text `s`.
    private func python(_ script: String, _ text: String) throws -> [String] {
        let begin = "import base64, json, re, sys, urllib.parse\ns = sys.argv[1]\n"
        let outcome = try Subprocess("/usr/bin/python3", ["-c", begin + script, text]).run()
        #expect(outcome.status == 0, "\(outcome.errorText)")
        return outcome.outputText.split(separator: "\n").map(String.init)
    }

    @Test("A secret is cut by its bytes, wherever text is, and the longer one of two first")
    func cutting() {
        let cutter = SecretCutter(["s3cr3t-long", "s3cr3t", "abc"])
        #expect(
            cutter.cut("x s3cr3t-long y s3cr3ts3cr3t z abc") == "x [credentials] y [credentials][credentials] z abc"
        )
        #expect(cutter.cut("s3cr3t\u{301}") == "[credentials]\u{301}", "a mark behind it hides nothing")
        #expect(cutter.cut(["s3cr3t": ["s3cr3t", 1, ["a": "é s3cr3t"]]] as JSONValue).text.contains("s3cr3t") == false)
        let key = "-----BEGIN KEY-----\r\nMC4CAQAwBQYDK2Vw\r\n}\n-----END KEY-----"
        let lines = SecretCutter([key])
        func last(_ words: String) -> String? { Survey.lastLine(Array(words.utf8), lines) }
        #expect(last("cannot read \(key)!\n \n") == "cannot read [credentials]!")
        #expect(last("a\nMC4CAQAwBQYDK2Vw\r\n}\n") == "}" && last("x MC4CAQAwBQYDK2Vw y") == "x [credentials] y")
        #expect(lines.cut("x MC4CAQAwBQYDK2Vw") == "x [credentials]", "each long line is a secret by itself")
        #expect(lines.cut("-----BEGIN KEY-----\n}") == "-----BEGIN KEY-----\n}", "what frames a key is none")
        #expect(last("\u{1b}[2J") == "\u{1b}[2J" && last(" \n") == nil)
        #expect(cutter.cut("s3cr3") == "s3cr3" && cutter.cut("") == "")
    }
}
