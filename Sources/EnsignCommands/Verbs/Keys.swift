import EnsignCommandLine
import EnsignCrypto
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignQueries
import EnsignReconciler
import EnsignSystem

extension Verb {
    static let keys = Verb(
        name: "keys",
        group: .record,
        summary: "Print allowed-signers lines of the ledger's keys",
        discussion: """
            The lines let stock git verify the ledger. Take them from a place that you trust, such as the host itself: \
            they are what everything else is proven with.
            """,
        options: [
            .anyEnvironment,
            Option(name: "rotate", summary: "Make a new key and hand over to it with an entry that the old key signs"),
        ],
        formats: [.text, .json],
        examples: [
            Example(
                command: "ensign keys > allowed && git config gpg.ssh.allowedSignersFile $PWD/allowed",
                meaning: "once"
            ),
            Example(
                command: "git log --first-parent --show-signature refs/ensign/ledger/prod",
                meaning: "then stock git verifies the ledger"
            ),
            Example(command: "ensign keys --env prod --rotate", meaning: "replace prod's key"),
        ]
    ) { invocation in
        let site = try invocation.site()
        if invocation.has("rotate") { return try invocation.rotate(site) }
        let names = try invocation["env"] == nil ? site.environments([]) : [invocation.knownEnvironment(site)]
        var keys: [SigningKey] = []
        var worst = ExitCode.done
        for name in names {
            do { keys += try SigningKey.all(site, name) } catch {
                // One that cannot be read does not hide the others' keys.
                let explanation = Explanation(error)
                explanation.print(to: invocation.console, program: App.name)
                if worst != .integrity { worst = explanation.code }
            }
        }
        if invocation.format == .json {
            invocation.json(SigningKey.json(keys))
        } else {
            for key in keys { invocation.console.line(key.allowedSigner.onOneLine) }
        }
        return worst
    }
}

extension Invocation {
    fileprivate func rotate(_ site: Site) throws -> ExitCode {
        guard self["env"] != nil else { throw UsageError(message: "'keys --rotate' needs --env ENV", verb: verb.name) }
        guard site.isInitialised else { throw ReconcileError.notInitialised }
        if site.settings.isClient { throw ReconcileError.client }
        let environment = try knownEnvironment(site)
        let rotation = KeyRotation(site: site, environment: environment, actor: actor(.cli))
        let entry = try rotation.run(reason: "rotated", now: Timestamp(seconds: Machine.now))
        console.line("\(environment): entry \(entry.entry.sequence) hands over to \(entry.entry.keys?.last ?? "")")
        console.note("The old key is kept beside the new one, with '.before-\(entry.entry.sequence)' behind its name.")
        return .done
    }
}
