import EnsignTestSupport
import Foundation
import Testing

/// A ledger that somebody has tampered with: `verify` says how, and `reconcile` leaves it as it is.
@Suite struct LedgerAttackTests {
    /// Something done to a ledger, and what it must be called.
    struct Attack: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var verdict: String
        /// Makes the commit for the ref.
        var forge: @Sendable (LedgerCopy) throws -> String

        init(_ name: String, _ verdict: String, _ forge: @escaping @Sendable (LedgerCopy) throws -> String) {
            testDescription = name
            self.verdict = verdict
            self.forge = forge
        }
    }

    /// What somebody without the key, or with one that was never listed, can do.
    static let withoutKey = [
        Attack("entry.json is changed, the signature stays", "broken at 4") { ledger in
            let whole = try ledger.git("cat-file", "commit", ledger.tip) + "\n"
            let forged = try ledger.forged(ledger.tip, entry: { $0.replacing("\"sync\"", with: "\"sinc\"") })
            let trees = try [ledger.tip, forged].map { try ledger.git("rev-parse", "\($0)^{tree}") }
            return try ledger.store(whole.replacing(trees[0], with: trees[1]))
        },
        Attack("entry.json is changed and signed with a stranger's key", "broken at 4") { ledger in
            let key = try ledger.strangersKey()
            return try ledger.forged(ledger.tip, entry: { $0.replacing("\"sync\"", with: "\"sinc\"") }, key: key)
        },
        Attack("the commit is not signed", "broken at 4") { ledger in
            try ledger.store(try ledger.payload(ledger.tip))
        },
        Attack("the signature is that of another entry", "broken at 4") { ledger in
            let other = try ledger.signature(try ledger.payload(ledger.entries[3]))
            return try ledger.store(try ledger.signed(try ledger.payload(ledger.tip), other))
        },
        Attack("a commit of the fleet stands there", "broken at 4") { try $0.git("rev-parse", "refs/heads/main") },
        Attack("a file is added to the tree", "broken at 4") { ledger in
            let key = try ledger.strangersKey()
            return try ledger.forged(ledger.tip, files: ["agents/support/rogue.json": "{}\n"], key: key)
        },
        Attack("a stranger appends a well formed entry", "broken at 5") { ledger in
            let key = try ledger.strangersKey()
            return try Self.appended(to: ledger, key: key)
        },
    ]

    /// What a thief of the key can sign and `verify` must still see.
    static let withKey = [
        Attack("the newest entry is rewritten", "forked") { ledger in
            try ledger.forged(ledger.tip, entry: { $0.replacing("\"sync\"", with: "\"sinc\"") })
        },
        Attack("a number is left out", "broken at 6") { ledger in
            try ledger.forged(
                ledger.tip,
                entry: { $0.replacing("\"seq\":4", with: "\"seq\":6") },
                header: { $0.replacing("Ensign-Seq: 4", with: "Ensign-Seq: 6") }
            )
        },
        Attack("a number comes twice", "broken at 3") { ledger in
            try ledger.forged(
                ledger.tip,
                entry: { $0.replacing("\"seq\":4", with: "\"seq\":3") },
                header: { $0.replacing("Ensign-Seq: 4", with: "Ensign-Seq: 3") }
            )
        },
        Attack("the digest of the previous entry is another", "broken at 4") { ledger in
            let entry = try ledger.git("show", "\(ledger.entries[3]):entry.json") + "\n"
            let digest = try ledger.sha256(entry)
            return try ledger.forged(
                ledger.tip,
                entry: { $0.replacing(digest, with: String(digest.reversed())) }
            )
        },
        Attack("the previous entry is another one than the parent", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, entry: { $0.replacing(ledger.entries[3], with: ledger.entries[1]) })
        },
        Attack("the environment is another", "broken at 4") { ledger in
            try ledger.forged(
                ledger.tip,
                entry: { $0.replacing("\"environment\":\"prod\"", with: "\"environment\":\"dev\"") },
                header: { $0.replacing("Ensign prod <prod@", with: "Ensign dev <dev@") }
            )
        },
        Attack("a route changes without a word", "broken at 4") { ledger in
            let path = "agents/support/desk.json"
            let route = try ledger.git("show", "\(ledger.tip):\(path)") + "\n"
            return try ledger.forged(ledger.tip, files: [path: route.replacing("1.0.0", with: "6.6.6")])
        },
        Attack("a route has the proof of another entry", "broken at 4") { ledger in
            let path = "agents/support/triage.json"
            let route = try ledger.git("show", "\(ledger.tip):\(path)") + "\n"
            let forged = route.replacing("\"entry\":3", with: "\"entry\":2")
            try #require(forged != route)
            return try ledger.forged(ledger.tip, files: [path: forged])
        },
        Attack("a route has the proof of another route", "broken at 4") { ledger in
            let paths = ["agents/support/triage.json", "agents/support/desk.json"]
            let routes = try paths.map { try ledger.git("show", "\(ledger.tip):\($0)") + "\n" }
            let proofs = try routes.map { try #require($0.firstMatch(of: /"signature":"[^"]*"/)).0 }
            let forged = routes[0].replacing(proofs[0], with: proofs[1])
            return try ledger.forged(ledger.tip, files: [paths[0]: forged])
        },
        Attack("a bundle changes under its name", "broken at 4") { ledger in
            let path = try #require(
                try ledger.git("ls-tree", "-r", "--name-only", ledger.tip, "bundles/").split(separator: "\n").first
            )
            return try ledger.forged(ledger.tip, files: [String(path): "{}\n"])
        },
        Attack("a bundle that is routed to is removed", "broken at 4") { ledger in
            let route = try ledger.git("show", "\(ledger.tip):agents/support/desk.json")
            let digest = try #require(route.firstMatch(of: /sha256:([0-9a-f]{2})([0-9a-f]{62})/))
            return try ledger.forged(ledger.tip, files: ["bundles/\(digest.1)/\(digest.2).json": nil])
        },
        Attack("a state file appears without a word", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, files: ["state/support/desk.json": "{}\n"])
        },
        Attack("something that no ledger has stands in the tree", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, files: ["notes.txt": "hello\n"])
        },
        Attack("fleet.json stands in the tree", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, files: ["fleet.json": "{}\n"])
        },
        Attack("entry.json is not canonical", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, entry: { $0.replacing("\"seq\":4", with: "\"seq\": 4") })
        },
        Attack("entry.json has a second line", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, entry: { $0 + "{}\n" })
        },
        Attack("the entry is of a later version", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, entry: { $0.replacing("\"v\":2", with: "\"v\":3") })
        },
        Attack("the entry is of an earlier version", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, entry: { $0.replacing("\"v\":2", with: "\"v\":1") })
        },
        Attack("the subject says something else", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, header: { $0.replacing("support/triage", with: "support/desk") })
        },
        Attack("the author is somebody else", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, header: { $0.replacing("author Ensign prod", with: "author Ada") })
        },
        Attack("the date is not the entry's", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, header: { $0.replacing(" +0000\ncommitter", with: " +0100\ncommitter") })
        },
        Attack("an extra header", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, header: { $0.replacing("\n\nprod:", with: "\nencoding UTF-8\n\nprod:") })
        },
        Attack("a second tree header", "broken at 4") { ledger in
            let tree = try ledger.git("rev-parse", "\(ledger.entries[2])^{tree}")
            return try ledger.forged(ledger.tip, header: { $0.replacing("\nparent", with: "\ntree \(tree)\nparent") })
        },
        Attack("a third parent", "broken at 4") { ledger in
            let parent = "\nparent \(ledger.entries[0])\nauthor"
            return try ledger.forged(ledger.tip, header: { $0.replacing("\nauthor", with: parent) })
        },
        Attack("the source commit is another than the entry names", "broken at 4") { ledger in
            let source = try ledger.git("rev-parse", "\(ledger.tip)^2")
            let other = try ledger.git("rev-parse", "\(source)~1")
            return try ledger.forged(
                ledger.tip,
                header: { $0.replacing("parent \(source)", with: "parent \(other)") }
            )
        },
        Attack("a NUL and more behind the message", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, header: { $0 + "\0unseen\n" })
        },
        Attack("another trailer", "broken at 4") { ledger in
            try ledger.forged(ledger.tip, header: { $0 + "Ensign-Note: all is well\n" })
        },
    ]

    /// Commits that carry a good signature and something beside it that it does not cover.
    static let besideTheSignature = [
        Attack("a second signature header", "broken at 4") { ledger in
            let payload = try ledger.payload(ledger.tip)
            let signature = try ledger.signature(payload)
            return try ledger.store(try ledger.signed(try ledger.signed(payload, signature), signature))
        },
        Attack("a signature header for SHA-256", "broken at 4") { ledger in
            let payload = try ledger.payload(ledger.tip)
            let good = try ledger.signed(payload, try ledger.signature(payload))
            return try ledger.store(good.replacing("\ngpgsig ", with: "\ngpgsig-sha256 x\ngpgsig "))
        },
        Attack("bytes behind the signature's end", "broken at 4") { ledger in
            let payload = try ledger.payload(ledger.tip)
            return try ledger.store(try ledger.signed(payload, try ledger.signature(payload) + "more\n"))
        },
        Attack("the signature in other columns", "broken at 4") { ledger in
            let payload = try ledger.payload(ledger.tip)
            let lines = try ledger.signature(payload).split(separator: "\n")
            let body = lines.dropFirst().dropLast().joined()
            return try ledger.store(
                try ledger.signed(payload, "\(lines[0])\n\(body)\n\(lines[lines.count - 1])\n")
            )
        },
        Attack("no line feed at the end", "broken at 4") { ledger in
            let payload = try ledger.payload(ledger.tip)
            return try ledger.store(String(try ledger.signed(payload, try ledger.signature(payload)).dropLast()))
        },
    ]

    /// An entry 5 that repeats entry 3, well formed in everything but who signs it.
    private static func appended(to ledger: LedgerCopy, key: String?) throws -> String {
        let digest = try ledger.sha256(try ledger.git("show", "\(ledger.tip):entry.json") + "\n")
        let before = try ledger.sha256(try ledger.git("show", "\(ledger.entries[2]):entry.json") + "\n")
        return try ledger.forged(
            ledger.entries[3],
            entry: {
                $0.replacing("\"seq\":3", with: "\"seq\":5").replacing(ledger.entries[2], with: ledger.tip)
                    .replacing(before, with: digest)
            },
            header: {
                $0.replacing("Ensign-Seq: 3", with: "Ensign-Seq: 5").replacing(ledger.entries[2], with: ledger.tip)
            },
            key: key
        )
    }

    @Test(
        "verify names a tampered ledger, exit 5; reconcile stops with 5 and leaves ref and live files as they are",
        arguments: withoutKey + withKey + besideTheSignature
    )
    func tampered(_ attack: Attack) throws {
        let ledger = try LedgerCopy()
        let forged = try attack.forge(ledger)
        try ledger.point(at: forged)
        let found = try ledger.verify()
        #expect(found == (5, attack.verdict))
        let live = try ledger.read("ensign/live/prod/fleet.json")
        let reconcile = try ledger.ensign("reconcile", "--env", "prod")
        #expect(reconcile.status == 5, "\(reconcile.output)\(reconcile.errors)")
        #expect(try ledger.pointsAt() == forged)
        #expect(try ledger.read("ensign/live/prod/fleet.json") == live)
    }

    /// Anybody can write an entry that hands over to the host's key: the key is public.
    @Test("An entry of a stranger that lists the host's own key is not built upon", arguments: ["key", "intent"])
    func handover(_ kind: String) throws {
        let ledger = try LedgerCopy()
        let digest = try ledger.sha256(try ledger.git("show", "\(ledger.tip):entry.json") + "\n")
        let before = try ledger.sha256(try ledger.git("show", "\(ledger.entries[2]):entry.json") + "\n")
        let ours = try run("ssh-keygen", ["-y", "-f", "\(ledger.bare)/ensign/keys/prod"], in: ledger.scratch.path)
            .output
        let line = ours.split(separator: " ").prefix(2).joined(separator: " ").trimmingCharacters(in: .newlines)
        let forged = try ledger.forged(
            ledger.entries[3],
            entry: {
                $0.replacing("\"seq\":3", with: "\"seq\":5").replacing(ledger.entries[2], with: ledger.tip)
                    .replacing(before, with: digest)
                    .replacing("\"kind\":\"intent\"", with: "\"keys\":[\"\(line)\"],\"kind\":\"\(kind)\"")
            },
            header: { text in
                let lines = text.replacing("Ensign-Seq: 3", with: "Ensign-Seq: 5")
                    .replacing(ledger.entries[2], with: ledger.tip)
                    .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
                return lines.map { kind == "key" && $0.hasPrefix("prod: ") ? "prod: signing keys changed" : $0 }
                    .joined(separator: "\n")
            },
            key: try ledger.strangersKey()
        )
        try ledger.point(at: forged)
        #expect(try ledger.verify().verdict == "broken at 5")
        let live = try ledger.read("ensign/live/prod/fleet.json")
        let reconcile = try ledger.ensign("reconcile", "--env", "prod")
        #expect(reconcile.status == 5)
        #expect(reconcile.errors.contains("this clone's key is"), "\(reconcile.errors)")
        #expect(try ledger.pointsAt() == forged)
        #expect(try ledger.read("ensign/live/prod/fleet.json") == live)
    }

    @Test("What is said of a broken ledger: the verdict on stdout, the reason on stderr")
    func words() throws {
        let ledger = try LedgerCopy()
        try ledger.point(at: try ledger.store(try ledger.payload(ledger.tip)))
        let verify = try ledger.ensign("verify")
        #expect(verify.status == 5)
        #expect(verify.output.hasPrefix("prod: broken at 4, 0 entries"))
        #expect(verify.errors.contains("is not a signed commit"))
        let reconcile = try ledger.ensign("reconcile", "--env", "prod")
        #expect(reconcile.errors.contains("the ledger of 'prod' is broken"))
        #expect(reconcile.errors.contains("docs/recovery.md"))
    }

    @Test("In a clone, what somebody has put on top is broken above the newest entry, and not at the first")
    func onTop() throws {
        let ledger = try LedgerCopy()
        let clone = "\(ledger.scratch.path)/clone"
        #expect(try run("git", ["clone", "-q", "--bare", ledger.bare, clone], in: ledger.scratch.path).status == 0)
        let script = """
            git fetch -q origin '+\(LedgerCopy.ref):\(LedgerCopy.ref)'
            for n in 1 2; do
                tip=$(git rev-parse \(LedgerCopy.ref))
                git update-ref \(LedgerCopy.ref) "$(git commit-tree "$tip^{tree}" -p "$tip" -p main -m fake)"
            done
            """
        #expect(try run("sh", ["-ec", script], in: clone).status == 0)
        let verify = try run(Host.ensign, ["verify", "--env", "prod"], in: clone)
        #expect(verify.status == 5 && verify.output.hasPrefix("prod: broken at 5, 5 entries"), "\(verify.output)")
        #expect(verify.errors.contains("is not a signed commit"))
    }

    @Test("A cut tail is rolled back, whichever entry is left, and a deleted ref too", arguments: [0, 2, 3, nil])
    func rolledBack(_ last: Int?) throws {
        let ledger = try LedgerCopy()
        if let last {
            try ledger.point(at: ledger.entries[last])
        } else {
            try ledger.git("update-ref", "-d", LedgerCopy.ref)
        }
        #expect(try ledger.verify() == (5, "rolled back"))
        #expect(try ledger.ensign("verify").output.hasPrefix("prod: rolled back"))
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 5)
        #expect(try ledger.pointsAt() == (last.map { ledger.entries[$0] } ?? ""))
    }

    @Test("Two hosts with one key make two chains: the other one is forked, here and there")
    func forked() throws {
        let here = try LedgerCopy()
        let there = try LedgerCopy()
        // The entries of one and the same second would be the same: one of the two has drift to record.
        try here.write("ensign/live/prod/agents/support/desk.json", "{}\n")
        for host in [here, there] { #expect(try host.ensign("reconcile", "--env", "prod").status == 0) }
        let tip = try here.pointsAt()
        #expect(try there.pointsAt() != tip)
        try there.git("fetch", "-q", here.bare, "+\(LedgerCopy.ref):\(LedgerCopy.ref)")
        #expect(try there.verify() == (5, "forked"))
        #expect(try there.ensign("reconcile", "--env", "prod").status == 5)
        #expect(try there.pointsAt() == tip)
        // A witness that fetches without '+' keeps what it has seen.
        #expect(
            try run("git", ["fetch", "-q", there.bare, "\(LedgerCopy.ref)^:\(LedgerCopy.ref)"], in: here.bare).status
                != 0
        )
        #expect(try here.verify() == (0, "intact"))
    }

    @Test("git replace and grafts change what git log shows, and nothing that Ensign reads")
    func replaced() throws {
        let ledger = try LedgerCopy()
        let forged = try ledger.forged(ledger.entries[2], files: ["agents/support/rogue.json": "{}\n"])
        try ledger.git("replace", ledger.entries[2], forged)
        try ledger.write("info/grafts", "\(ledger.tip)\n")
        #expect(try ledger.git("ls-tree", "-r", "--name-only", ledger.entries[2]).contains("rogue"))
        #expect(try ledger.verify() == (0, "intact"))
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try ledger.verify() == (0, "intact"))
    }
}
