import EnsignTestSupport
import Foundation
import Testing

/// A ledger that a disk, a crash or a careless hand has damaged, and the files that Ensign keeps beside it.
@Suite struct LedgerDamageTests {
    // MARK: Objects

    enum Part: String, CaseIterable, Sendable {
        case commit, tree, entry

        func revision(_ commit: String) -> String {
            switch self {
            case .commit: commit
            case .tree: "\(commit)^{tree}"
            case .entry: "\(commit):entry.json"
            }
        }
    }

    enum Damage: String, CaseIterable, Sendable {
        case missing, empty, flipped
    }

    private func inflict(_ damage: Damage, on path: String) throws {
        switch damage {
        case .missing: try FileManager.default.removeItem(atPath: path)
        case .empty: try Data().write(to: URL(fileURLWithPath: path))
        case .flipped:
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            bytes[bytes.count / 2] ^= 0x10
            try bytes.write(to: URL(fileURLWithPath: path))
        }
    }

    @Test(
        "A damaged object of the newest entry is named, and reconcile writes nothing over it",
        arguments: Part.allCases,
        Damage.allCases
    )
    func newest(_ part: Part, _ damage: Damage) throws {
        let ledger = try LedgerCopy()
        let object = try ledger.git("rev-parse", part.revision(ledger.tip))
        try inflict(damage, on: try ledger.looseObject(object))
        let verify = try ledger.ensign("verify", "--env", "prod")
        #expect(verify.output.hasPrefix(damage == .missing ? "prod: incomplete" : "prod: broken at 4"))
        #expect(verify.status == (damage == .missing ? 1 : 5))
        #expect(verify.errors.contains(object), "\(verify.errors)")
        let reconcile = try ledger.ensign("reconcile", "--env", "prod")
        #expect(reconcile.status == 1 || reconcile.status == 5)
        #expect(reconcile.errors.contains(object), "\(reconcile.errors)")
        #expect(reconcile.errors.contains("docs/recovery.md"), "\(reconcile.errors)")
        #expect(try ledger.pointsAt() == ledger.tip)
    }

    @Test("A damaged object of an older entry is found where it is", arguments: Part.allCases, Damage.allCases)
    func older(_ part: Part, _ damage: Damage) throws {
        let ledger = try LedgerCopy()
        let object = try ledger.git("rev-parse", part.revision(ledger.entries[2]))
        try inflict(damage, on: try ledger.looseObject(object))
        let verify = try ledger.ensign("verify", "--env", "prod")
        #expect(verify.output.hasPrefix(damage == .missing ? "prod: incomplete" : "prod: broken at 2"))
        #expect(verify.status == (damage == .missing ? 1 : 5))
        #expect(verify.errors.contains(object), "\(verify.errors)")
    }

    @Test("A shallow clone of the ledger is incomplete, and says how to get the rest")
    func shallow() throws {
        let ledger = try LedgerCopy()
        let clone = "\(ledger.scratch.path)/clone.git"
        #expect(try run("git", ["init", "-q", "--bare", clone], in: ledger.bare).status == 0)
        let fetch = ["fetch", "-q", "--depth", "2", "file://\(ledger.bare)", "\(LedgerCopy.ref):\(LedgerCopy.ref)"]
        #expect(try run("git", fetch, in: clone).status == 0)
        let verify = try run(Host.ensign, ["verify", "--env", "prod"], in: clone)
        #expect(verify.status == 1)
        #expect(verify.output.hasPrefix("prod: incomplete"))
        #expect(verify.errors.contains("git fetch --unshallow"))
    }

    // MARK: The ref

    @Test("An empty ref file is not a new ledger: everything stops, and the file stays")
    func emptyRef() throws {
        let ledger = try LedgerCopy()
        try ledger.write(LedgerCopy.ref, "")
        for verb in ["verify", "reconcile", "log", "drift"] {
            let result = try ledger.ensign(verb, "--env", "prod")
            #expect(result.status == 1, "\(verb): \(result.output)\(result.errors)")
            #expect(result.errors.contains("refs/ensign/ledger/prod"), "\(verb): \(result.errors)")
        }
        #expect(try ledger.read(LedgerCopy.ref).isEmpty)
        #expect(try ledger.read("ensign/high-water/prod").hasPrefix("4 "))
    }

    @Test("An empty ref file of one environment does not stop another one")
    func emptyRefOfAnother() throws {
        let ledger = try LedgerCopy()
        try ledger.write("refs/ensign/ledger/dev", "")
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try ledger.verify() == (0, "intact"))
    }

    @Test("A packed repository is read and written as a loose one, and a deleted packed ref is seen")
    func packed() throws {
        let ledger = try LedgerCopy()
        try ledger.git("gc", "-q", "--prune=now")
        try ledger.git("pack-refs", "--all")
        #expect(try ledger.verify() == (0, "intact"))
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try ledger.verify() == (0, "intact"))
        try ledger.git("pack-refs", "--all")
        try ledger.git("update-ref", "-d", LedgerCopy.ref)
        #expect(try ledger.verify() == (5, "rolled back"))
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 5)
        #expect(try ledger.pointsAt().isEmpty)
    }

    @Test(
        "Nobody answers from a ledger that is behind what was seen here, or gone",
        arguments: [
            ["status"], ["status", "--env", "prod"], ["get", "agents", "--env", "prod"],
            ["who-can", "crm.find", "--env", "prod"],
            ["check", "support/triage", "crm.find", "--env", "prod"], ["drift", "--env", "prod"],
            ["log", "--env", "prod"],
            ["route", "support/triage", "--env", "prod", "--key", "x"], ["rollout", "status", "--env", "prod"],
            ["evidence", "support/triage", "--env", "prod"], ["plan", "--env", "prod"],
        ]
    )
    func answers(_ words: [String]) throws {
        let ledger = try LedgerCopy()
        func ask() throws -> CommandResult { try run(Host.ensign, words, in: ledger.bare) }
        #expect(try ask().status != 5)
        let older = try ledger.git("rev-parse", "\(LedgerCopy.ref)~1")
        let tree = try ledger.git("rev-parse", "\(LedgerCopy.ref)^{tree}")
        for (place, verdict) in [(older, "rolled back"), (nil, "rolled back"), (tree, "is not a commit")] {
            if let place {
                try ledger.git("update-ref", LedgerCopy.ref, place)
            } else {
                try ledger.git("update-ref", "-d", LedgerCopy.ref)
            }
            let answer = try ask()
            #expect(answer.status == 5, "\(words): \(answer.output)\(answer.errors)")
            #expect(
                (answer.output + answer.errors).contains(verdict),
                "\(words): \(answer.output)\(answer.errors)"
            )
        }
    }

    @Test(
        "A ledger that is gone with its mark was rolled back, as what is live says: nothing begins over it",
        arguments: ["the header", "a route"]
    )
    func goneWithItsMark(_ witness: String) throws {
        let ledger = try LedgerCopy()
        try ledger.git("update-ref", "-d", LedgerCopy.ref)
        try FileManager.default.removeItem(atPath: "\(ledger.bare)/ensign/high-water/prod")
        if witness == "a route" {
            try FileManager.default.removeItem(atPath: "\(ledger.bare)/ensign/live/prod/fleet.json")
        }
        #expect(try ledger.verify() == (5, "rolled back"))
        for words in [
            ["verify"], ["verify", "--env", "prod"], ["status"], ["status", "--output", "json"],
            ["drift", "--env", "prod"],
            ["keys"], ["reconcile", "--env", "prod"], ["plan", "--env", "prod"],
        ] {
            let answer = try run(Host.ensign, words, in: ledger.bare)
            #expect(answer.status == 5, "\(words): \(answer.output)\(answer.errors)")
            let said = answer.output + answer.errors
            #expect(
                said.contains("rolled back") && said.contains("has signed what is live as of entry"),
                "\(words): \(said)"
            )
        }
        #expect(try ledger.pointsAt().isEmpty)
        // Back from a mirror, it is as it was.
        try ledger.point(at: ledger.tip)
        #expect(try ledger.verify() == (0, "intact"))
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 0)
    }

    @Test(
        "A backup of the repository beside a newer live directory was rolled back: nobody who is halted starts again",
        arguments: ["agent", "all", "team", "rotated"],
        ["the header", "a route"]
    )
    func olderThanLive(_ halt: String, _ witness: String) throws {
        let host = try Host(fleet: FleetFixture())
        if halt == "rotated" { #expect(try host.ensign("keys", "--env", "prod", "--prepare").status == 0) }
        let live = "\(host.scratch.path)/live"
        try FileManager.default.copyItem(atPath: host.live(), toPath: live)
        try host.hostGit("config", "ensign.prod.target", "directory:\(live)")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        let backup = "\(host.scratch.path)/backup.git"
        try FileManager.default.copyItem(atPath: host.bare, toPath: backup)
        let scope = ["all": ["--all"], "team": ["--team", "support"]][halt] ?? ["support/triage"]
        if halt == "rotated" { #expect(try host.ensign("keys", "--env", "prod", "--rotate").status == 0) }
        #expect(try host.ensign(arguments: ["halt"] + scope + ["--env", "prod", "--reason", "leaks"]).status == 0)
        try FileManager.default.removeItem(atPath: host.bare)
        try FileManager.default.moveItem(atPath: backup, toPath: host.bare)
        if witness == "a route" { try FileManager.default.removeItem(atPath: "\(live)/fleet.json") }
        func phase() throws -> String? {
            let route = try Data(contentsOf: URL(fileURLWithPath: "\(live)/agents/support/triage.json"))
            return (try JSONSerialization.jsonObject(with: route) as? [String: Any])?["phase"] as? String
        }
        for words in [["verify", "--env", "prod"], ["reconcile", "--env", "prod"]] {
            let answer = try run(Host.ensign, words, in: host.bare)
            let said = answer.output + answer.errors
            #expect(answer.status == 5 && said.contains("has signed what is live as of entry"), "\(words): \(said)")
        }
        #expect(try phase() == "halted")
        // No mirror has what is lost: it goes on, and who was halted stays so.
        let accepted = try host.ensign("reconcile", "--env", "prod", "--accept-loss")
        #expect(accepted.status == 0, "\(accepted.errors)")
        #expect(try phase() == "halted", "\(accepted.output)\(accepted.errors)")
        #expect(accepted.errors.contains("support/triage was halted by what is lost"), "\(accepted.errors)")
        #expect(try host.ensign("verify", "--env", "prod").status == 0)
        #expect(try host.ensign("reconcile", "--env", "prod").errors.contains("nothing to do"))
        let resumed = try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "looked")
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(try phase() == "stable")
    }

    @Test("After a fork the other chain counts where an operator says so, and who was halted by this one stays halted")
    func acceptedFork() throws {
        let host = try Host(fleet: FleetFixture())
        let other = "\(host.scratch.path)/other.git"
        try FileManager.default.copyItem(atPath: host.bare, toPath: other)
        let halt = ["--env", "prod", "--reason", "x"]
        #expect(try run(Host.ensign, ["halt", "support/desk"] + halt, in: other).status == 0)
        #expect(try host.ensign(arguments: ["halt", "support/triage"] + halt).status == 0)
        try host.hostGit("fetch", "-q", other, "+refs/ensign/ledger/prod:refs/ensign/ledger/prod")
        let forked = try host.ensign("reconcile", "--env", "prod")
        #expect(forked.status == 5 && forked.errors.contains("--accept-loss"), "\(forked.errors)")
        let accepted = try host.ensign("reconcile", "--env", "prod", "--accept-loss")
        #expect(accepted.status == 0, "\(accepted.errors)")
        for agent in ["triage", "desk"] {
            #expect(try host.liveJSON("agents/support/\(agent).json")["phase"] as? String == "halted", "\(agent)")
        }
        try host.expectSound()
    }

    @Test("A loss that cannot be accepted is not, and the key that can go on is named")
    func refusedLoss() throws {
        let host = try Host(fleet: FleetFixture())
        let backup = try host.hostGit("rev-parse", "refs/ensign/ledger/prod")
        #expect(try host.ensign("halt", "support/triage", "--env", "prod", "--reason", "x").status == 0)
        #expect(try host.ensign("keys", "--env", "prod", "--rotate").status == 0)
        try host.hostGit("update-ref", "refs/ensign/ledger/prod", backup)
        let key = "\(host.bare)/ensign/keys/prod"
        for words in [["reconcile", "--env", "prod", "--accept-loss"], ["reconcile", "--env", "prod"]] {
            let refused = try run(Host.ensign, words, in: host.bare)
            #expect(refused.status == 5, "\(words): \(refused.errors)")
            if words.count > 3 { #expect(refused.errors.contains("\(key).before-4 is the one"), "\(refused.errors)") }
        }
        try FileManager.default.removeItem(atPath: key)
        try FileManager.default.copyItem(atPath: "\(key).before-4", toPath: key)
        let accepted = try host.ensign("reconcile", "--env", "prod", "--accept-loss")
        #expect(accepted.status == 0, "\(accepted.errors)")
        #expect(try host.liveJSON("agents/support/triage.json")["phase"] as? String == "halted", "\(accepted.errors)")
        try host.expectSound()
    }

    @Test("Whoever may not read what is live, or the key, reads the ledger all the same", arguments: ["keys", "live"])
    func auditor(_ hidden: String) throws {
        let host = try Host(fleet: FleetFixture())
        // An account that may read the repository, and not that folder.
        try host.scratch.write("auditor/.gitconfig", "[safe]\n\tdirectory = \(host.bare)\n")
        let script = """
            chmod -R a+rX "$1" "$(dirname "$1")/auditor" && chmod 755 "$(dirname "$1")" && chmod 700 "$1/ensign/$2"
            exec setpriv --reuid 65534 --regid 65534 --clear-groups \\
                env -u GIT_CONFIG_COUNT -u GIT_CONFIG_GLOBAL HOME="$(dirname "$1")/auditor" "$3" verify --env prod --repo "$1"
            """
        let result = try run("sh", ["-c", script, "sh", host.bare, hidden, Host.ensign], in: "/")
        // Only root may become another account.
        if result.errors.contains("setpriv:") { return }
        #expect(result.status == 0 && result.output.contains("intact"), "\(result.output)\(result.errors)")
    }

    @Test(
        "Whoever has lost the key too, or has nothing live, begins anew",
        arguments: ["ensign/keys/prod", "ensign/live"]
    )
    func beginsAnew(_ lost: String) throws {
        let ledger = try LedgerCopy()
        try ledger.git("update-ref", "-d", LedgerCopy.ref)
        for path in ["ensign/high-water/prod", lost] {
            try FileManager.default.removeItem(atPath: "\(ledger.bare)/\(path)")
        }
        #expect(try ledger.ensign("init").status == 0)
        let reconcile = try ledger.ensign("reconcile", "--env", "prod")
        #expect(reconcile.status == 0, "\(reconcile.errors)")
        #expect(try ledger.verify() == (0, "intact"))
        #expect(try ledger.git("rev-list", "--first-parent", "--count", LedgerCopy.ref) == "3")
    }

    @Test("A lock that a killed run left on the ledger's ref is removed")
    func staleLock() throws {
        let ledger = try LedgerCopy()
        try ledger.write("\(LedgerCopy.ref).lock", "")
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try ledger.verify() == (0, "intact"))
        #expect(try ledger.pointsAt() != ledger.tip)
    }

    // MARK: The key

    @Test("A missing key is exit 1: no other one is made, and nothing is written")
    func missingKey() throws {
        let ledger = try LedgerCopy()
        try FileManager.default.removeItem(atPath: "\(ledger.bare)/ensign/keys/prod")
        for _ in 0..<2 {
            let reconcile = try ledger.ensign("reconcile", "--env", "prod")
            #expect(reconcile.status == 1)
            #expect(reconcile.errors.contains("the signing key of 'prod' is missing"))
        }
        #expect(try ledger.ensign("init").status == 0)
        #expect(!FileManager.default.fileExists(atPath: "\(ledger.bare)/ensign/keys/prod"))
        #expect(try ledger.pointsAt() == ledger.tip)
        #expect(try ledger.verify() == (0, "intact"))
    }

    @Test("A key that others may read, or that is none, is not used", arguments: ["mode", "garbage", "empty"])
    func unusableKey(_ what: String) throws {
        let ledger = try LedgerCopy()
        let path = "\(ledger.bare)/ensign/keys/prod"
        if what != "mode" { try ledger.write("ensign/keys/prod", what == "empty" ? "" : "not a key\n") }
        try FileManager.default.setAttributes([.posixPermissions: what == "mode" ? 0o644 : 0o600], ofItemAtPath: path)
        let reconcile = try ledger.ensign("reconcile", "--env", "prod")
        #expect(reconcile.status == 1)
        #expect(reconcile.errors.contains(path))
        #expect(try ledger.pointsAt() == ledger.tip)
    }

    @Test("Another key than the ledger's is exit 5")
    func otherKey() throws {
        let ledger = try LedgerCopy()
        let stranger = try String(contentsOfFile: try ledger.strangersKey(), encoding: .utf8)
        try ledger.write("ensign/keys/prod", stranger)
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o600],
            ofItemAtPath: "\(ledger.bare)/ensign/keys/prod"
        )
        let reconcile = try ledger.ensign("reconcile", "--env", "prod")
        #expect(reconcile.status == 5)
        #expect(reconcile.errors.contains("this clone's key is SHA256:"))
        #expect(try ledger.pointsAt() == ledger.tip)
    }

    // MARK: Ensign's own files

    /// What a file of Ensign's own may have become.
    enum Content: String, CaseIterable, Sendable {
        case empty, zeros, garbage, future, numbers, huge

        var text: String {
            switch self {
            case .empty: ""
            case .zeros: "\0\0\0\0"
            case .garbage: "garbage\n"
            case .future: "{\"v\":99}\n"
            case .numbers: "99\n99\n99\n99\n99\n"
            case .huge: String(repeating: "x", count: 100_000)
            }
        }
    }

    @Test(
        "Caches and status are made again, whatever they hold",
        arguments: ["cache/prod/settled", "cache/prod/retired", "cache/prod/observation", "status/prod.json"],
        Content.allCases
    )
    func caches(_ file: String, _ content: Content) throws {
        let ledger = try LedgerCopy()
        try ledger.write("ensign/\(file)", content.text)
        #expect(try ledger.ensign("status").status == 0)
        let reconcile = try ledger.ensign("reconcile", "--env", "prod")
        #expect(reconcile.status == 0, "\(reconcile.errors)")
        // The second run has nothing to do but read what the first one wrote.
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try ledger.verify() == (0, "intact"))
        #expect(try ledger.ensign("drift", "--env", "prod", "--detailed-exitcode").status == 0)
        let isAnew = try ledger.read("ensign/\(file)") != content.text
        #expect(isAnew)
    }

    @Test(
        "A folder where a cache belongs is an error that names it, or is replaced",
        arguments: ["cache/prod/settled", "cache/prod/observation", "status/prod.json"]
    )
    func folderAsCache(_ file: String) throws {
        let ledger = try LedgerCopy()
        try FileManager.default.removeItem(atPath: "\(ledger.bare)/ensign/\(file)")
        try FileManager.default.createDirectory(
            atPath: "\(ledger.bare)/ensign/\(file)",
            withIntermediateDirectories: true
        )
        let reconcile = try ledger.ensign("reconcile", "--env", "prod")
        #expect(reconcile.status == 0 || reconcile.errors.contains(file))
        #expect(try ledger.verify() == (0, "intact"))
    }

    /// Writes a slice of the newest entry whose rounds began at a moment.
    private func observation(of ledger: LedgerCopy, since moment: Int64) throws {
        let text = """
            {"entry":"\(try ledger.pointsAt())","lookedAt":{},"next":"","roundStart":\(moment),"v":1,\
            "verifiedBefore":\(moment)}

            """
        try ledger.write("ensign/cache/prod/observation", text)
    }

    @Test("A watermark from the future hides no drift")
    func futureWatermark() throws {
        let ledger = try LedgerCopy()
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 0)
        try observation(of: ledger, since: .max)
        try ledger.write("ensign/live/prod/agents/support/desk.json", "{}\n")
        let reconcile = try ledger.ensign("reconcile", "--env", "prod")
        #expect(reconcile.output.contains("repaired agents/support/desk.json"), "\(reconcile.errors)")
    }

    @Test("A watermark from before all time starts anew")
    func earliestWatermark() throws {
        let ledger = try LedgerCopy()
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 0)
        try observation(of: ledger, since: .min)
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 0)
    }

    @Test("A settled file from another version, commit or entry does not hide a pending change")
    func staleSettled() throws {
        let ledger = try LedgerCopy()
        let desired = try ledger.git("rev-parse", "refs/heads/main")
        try ledger.write(
            "ensign/cache/prod/settled",
            #"{"desired":"\#(desired)","entry":"\#(ledger.entries[2])","v":1,"version":"0.1.0"}"# + "\n"
        )
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try ledger.pointsAt() != ledger.tip)
    }

    @Test("A retired file that lists what is live removes nothing that is routed to")
    func lyingRetired() throws {
        let ledger = try LedgerCopy()
        let route = try ledger.read("ensign/live/prod/agents/support/desk.json")
        let digest = try #require(route.firstMatch(of: /sha256:([0-9a-f]{64})/)).1
        let record = #"["\#(digest)",[1,"support/desk"]]"# + "\n"
        let header = #"{"bytes":\#(record.utf8.count),"commit":"\#(try ledger.pointsAt())","seq":4,"v":1}"# + "\n"
        try ledger.write("ensign/cache/prod/retired", header + record)
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try ledger.verify() == (0, "intact"))
        let bundle = "ensign/live/prod/bundles/\(digest.prefix(2))/\(digest.dropFirst(2)).json"
        #expect(FileManager.default.fileExists(atPath: "\(ledger.bare)/\(bundle)"))
    }

    // MARK: The high-water mark

    @Test("A mark that cannot be read counts as none, and is written again", arguments: Content.allCases)
    func unreadableMark(_ content: Content) throws {
        let ledger = try LedgerCopy()
        try ledger.write("ensign/high-water/prod", content.text)
        #expect(try ledger.verify() == (0, "intact"))
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try ledger.read("ensign/high-water/prod").hasPrefix("6 "))
    }

    @Test("A mark ahead of the ledger is rolled back; one on another chain is forked")
    func otherMark() throws {
        let ledger = try LedgerCopy()
        let unknown = String(repeating: "ab", count: 20)
        try ledger.write("ensign/high-water/prod", "9 \(unknown)\n")
        #expect(try ledger.verify() == (5, "rolled back"))
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 5)
        try ledger.write("ensign/high-water/prod", "3 \(unknown)\n")
        #expect(try ledger.verify() == (5, "forked"))
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 5)
        #expect(try ledger.pointsAt() == ledger.tip)
    }

    @Test("A mark that is behind, as a killed run leaves it, is caught up with")
    func markBehind() throws {
        let ledger = try LedgerCopy()
        try ledger.write("ensign/high-water/prod", "2 \(ledger.entries[2])\n")
        #expect(try ledger.verify() == (0, "intact"))
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try ledger.read("ensign/high-water/prod").hasPrefix("6 "))
    }

    /// A well formed object under another's name: git itself reads it without a word.
    @Test(
        "Content under another object's name is found",
        arguments: ["^{tree}", ":agents", ":agents/support", ":entry.json", ":agents/support/triage.json", ""]
    )
    func planted(_ what: String) throws {
        let ledger = try LedgerCopy()
        let path = try ledger.looseObject(ledger.tip + what)
        let other: String
        switch what {
        case "": other = ledger.entries[2]
        case ":entry.json", ":agents/support/triage.json":
            other = try ledger.git("hash-object", "-w", "--stdin", input: "{}\n")
        default:
            let listing = try ledger.git("ls-tree", ledger.tip + (what == "^{tree}" ? "" : what))
            // The same entries but one, and one more.
            let lines = listing.split(separator: "\n").dropFirst().map { String($0) }
            let rogue = try ledger.git("hash-object", "-w", "--stdin", input: "rogue\n")
            other = try ledger.git(
                "mktree",
                input: (lines + ["100644 blob \(rogue)\trogue.json"]).joined(separator: "\n")
            )
        }
        let planted = try Data(contentsOf: URL(fileURLWithPath: ledger.looseObject(other)))
        try planted.write(to: URL(fileURLWithPath: path))
        let verify = try ledger.ensign("verify", "--env", "prod")
        #expect(verify.status == 5, "\(verify.output)\(verify.errors)")
    }

    @Test("Commits that somebody has made to lead around in a circle are found, and end", arguments: [0, 2])
    func circle(_ number: Int) throws {
        let ledger = try LedgerCopy()
        let newer = try Data(contentsOf: URL(fileURLWithPath: ledger.looseObject(ledger.entries[3])))
        try newer.write(to: URL(fileURLWithPath: ledger.looseObject(ledger.entries[number])))
        let verify = try ledger.ensign("verify", "--env", "prod")
        #expect(verify.status == 5, "\(verify.output)\(verify.errors)")
        #expect(verify.errors.contains("damaged"), "\(verify.errors)")
    }
}
