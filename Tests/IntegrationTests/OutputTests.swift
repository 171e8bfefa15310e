import EnsignTestSupport
import Foundation
import Testing

/// What becomes of a command whose results nobody reads.
@Suite struct OutputTests {
    /// A command line that changes something, and what comes before it.
    private struct Change: Sendable {
        var words: [String]
        var isInWork = false
        /// The status when all of it was done.
        var status: Int32 = 0
        var prepare: @Sendable (Host) throws -> Void = { _ in }
    }

    private static let deployment = FleetFixture.deploymentPath
    private static let prod = ["--env", "prod", "--reason", "r"]

    /// What is live is behind what is desired.
    @Sendable private static func pending(_ host: Host) throws {
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        try host.push(deployment, "maximum: 100", "maximum: 90")
    }

    /// prod has taken a version from a canary.
    @Sendable private static func canary(_ host: Host) throws {
        let rollout = "  rollout: {canary: {steps: [{weight: 20, hold: 1h}]}}\n"
        try host.push(FleetFixture.environmentPath, "  keepFor: 7d\n", "  keepFor: 7d\n" + rollout)
        try host.push(deployment, "maximum: 100", "maximum: 200")
    }

    @Sendable private static func halted(_ host: Host) throws {
        #expect(try host.ensign(arguments: ["halt", "support/triage"] + prod).status == 0)
    }

    @Sendable private static func openAPI(_ host: Host) throws {
        let text =
            #"{"openapi":"3.0.0","info":{"title":"b","version":"1.0.0"},"paths":{"/a":{"get":{"operationId":"a"}}}}"#
        try host.scratch.write("work/api.json", text)
    }

    @Sendable private static func next(_ host: Host) throws {
        #expect(try host.ensignInWork("new", "version", "support/triage").status == 0)
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "Next")
    }

    @Sendable private static func service(_ host: Host) throws {
        try host.scratch.write("service/agent.yaml", host.scratch.read("work/\(FleetFixture.agentPath)"))
        try host.scratch.write("service/prompt.md", "Be kind.\n")
    }

    @Sendable private static func promotable(_ host: Host) throws {
        try next(host)
        try host.git("mv", "fleet/agents/support/triage/next", "fleet/agents/support/triage/1.1.0")
        try host.scratch.write(
            "work/environments/dev/agents/support/triage.yaml",
            "apiVersion: ensign.dev/v1\nkind: Deployment\nspec: {version: 1.1.0}\n"
        )
        try host.scratch.write(
            "work/environments/dev/agents/support/desk.yaml",
            "apiVersion: ensign.dev/v1\nkind: Deployment\nspec: {version: 1.0.0}\n"
        )
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "In dev")
    }

    private static let changes: [String: Change] = [
        "new": Change(words: ["new", "agent", "other/greeter"], isInWork: true),
        "import": Change(
            words: ["import", "openapi", "b", "api.json", "--team", "support"],
            isInWork: true,
            prepare: openAPI
        ),
        "release": Change(words: ["release", "support/triage", "2.0.0"], isInWork: true, prepare: next),
        "promote": Change(
            words: ["promote", "support/triage", "--to", "prod", "--version", "1.1.0", "--force"],
            isInWork: true,
            prepare: promotable
        ),
        "propose": Change(
            words: ["propose", "../service", "--agent", "support/triage"],
            isInWork: true,
            prepare: service
        ),
        "rollback": Change(words: ["rollback", "support/triage", "--now"] + prod) { host in
            let folder = "\(host.work)/fleet/agents/support/triage"
            try FileManager.default.copyItem(atPath: "\(folder)/1.0.0", toPath: "\(folder)/1.1.0")
            try host.scratch.write("work/fleet/agents/support/triage/1.1.0/prompt.md", "Be kind.\n")
            try host.git("add", "-A")
            try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        },
        "reconcile": Change(words: ["reconcile", "--env", "prod"]) { host in
            try pending(host)
            try host.hostGit("config", "ensign.notify", "cat > \(host.scratch.path)/told")
        },
        "rollout": Change(words: ["rollout", "abort", "support/triage"] + prod, prepare: canary),
        "halt": Change(words: ["halt", "support/triage"] + prod),
        "resume": Change(words: ["resume", "support/triage"] + prod, prepare: halted),
        "keys": Change(words: ["keys", "--env", "prod", "--rotate"]),
        "init": Change(words: ["init"]) { host in
            try FileManager.default.removeItem(atPath: "\(host.bare)/hooks")
            try FileManager.default.removeItem(atPath: "\(host.bare)/ensign")
            try host.hostGit("config", "--unset-all", "receive.hideRefs")
            for name in ["dev", "prod"] { try host.hostGit("update-ref", "-d", "refs/ensign/ledger/\(name)") }
        },
    ]

    /// What is done that can be compared: files, refs, entries of the ledgers, settings.
    private func traces(_ host: Host) throws -> [String] {
        let files = try run(
            "bash",
            ["-c", "cd \(host.scratch.path) && find . -type f -not -path '*/objects/*' -not -name '*.lock' | sort"],
            in: host.scratch.path
        ).output.split(separator: "\n").map(String.init).filter { path in
            // Git's own, and what is remembered for the next run.
            !["/logs/", "/cache/", "/COMMIT_EDITMSG", "/bundles/", "/out", "/status"].contains { path.contains($0) }
        }
        let refs =
            try host.hostGit("for-each-ref", "--format=%(refname)") + "\n"
            + host.git("for-each-ref", "--format=%(refname)")
        let hasLedger = refs.contains("refs/ensign/ledger/prod")
        let settings = try host.hostGit("config", "--local", "--get-regexp", "^receive")
        return files + refs.split(separator: "\n").map(String.init) + (hasLedger ? try host.kinds() : []) + [settings]
            + [try host.git("diff", "--cached", "--name-only")]
    }

    private func shell(_ change: Change, _ host: Host, _ around: (String) -> String) throws -> CommandResult {
        let line = (["\"$E\""] + change.words.map { "'\($0)'" }).joined(separator: " ")
        return try run(
            "bash",
            ["-c", around(line)],
            in: change.isInWork ? host.work : host.bare,
            environment: ["E": Host.ensign, "OUT": host.scratch.path]
        )
    }

    private func prepared(_ change: Change) throws -> Host {
        let host = try Host(fleet: FleetFixture())
        try change.prepare(host)
        return host
    }

    @Test("What changes something is done to its end, whether or not somebody reads", arguments: changes.keys.sorted())
    func changing(_ name: String) throws {
        let change = try #require(Self.changes[name])
        let read = try prepared(change)
        let result = try shell(change, read) { "\($0) > $OUT/out" }
        #expect(result.status == change.status, "\(result.errors)")
        #expect(try !read.scratch.read("out").isEmpty, "it says nothing")
        let whole = try traces(read)

        let left = try prepared(change)
        let status = try shell(change, left) {
            "{ sleep 0.2; \($0); echo $? > $OUT/out; } | true; while [ ! -s $OUT/out ]; do sleep 0.1; done; cat $OUT/out"
        }
        #expect(status.output == "\(change.status)\n", "\(status.errors)")
        #expect(try traces(left) == whole)

        let full = try prepared(change)
        let said = try shell(change, full) { "echo > $OUT/out; \($0) > /dev/full" }
        #expect(said.status == 1)
        #expect(said.errors.hasSuffix("ensign: error: it is done, but cannot write the output\n"), "\(said.errors)")
        #expect(try traces(full) == whole)
    }

    @Test("Its own failure comes first")
    func failure() throws {
        let change = Change(words: ["reconcile", "--env", "prod"])
        let host = try prepared(change)
        try host.edit(Self.deployment, "version: 1.0.0", "version: 9.9.9")
        try host.git("commit", "-q", "-a", "-m", "Broken")
        try host.git("push", "-q", "origin", "HEAD:refs/heads/aside")
        try host.hostGit("update-ref", "refs/heads/main", "refs/heads/aside")
        #expect(try shell(change, host) { "\($0) > /dev/full" }.status == 3)
    }

    @Test("Every verb is known to answer, to change something, or to serve")
    func everyVerb() {
        let answers = [
            "validate", "plan", "schema", "status", "get", "diff", "route", "who-can", "check", "judge", "evidence",
            "telemetry", "drift", "log", "verify", "completion", "version",
        ]
        // With other tests of what they do without a reader, or with nothing on standard output.
        let others = ["watch", "dev", "gateway", "hook", "notify", "tighten", "discover"]
        let verbs = GoldenTests.verbs
        #expect(verbs.count > 30)
        #expect(Set(verbs).subtracting(Array(Self.changes.keys) + answers + others) == [])
    }

    @Test("A rollout is shown once where there is no terminal, whatever standard error is")
    func watchedFile() throws {
        let host = try Host(fleet: FleetFixture())
        let words = "'\(Host.ensign)' rollout status --env prod --watch"
        let line = "timeout 20 script -qec \"\(words) > \(host.scratch.path)/out\" /dev/null"
        let result = try run("bash", ["-c", line], in: host.bare)
        #expect(result.status == 0, "\(result.output)")
        #expect(try !host.scratch.read("out").contains("\u{1B}"))
    }
}
