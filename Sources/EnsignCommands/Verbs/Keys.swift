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
            The lines let stock git verify the ledger ('git'), and whoever reads the live directory what is in it \
            ('ensign-live', the newest key alone). Take them from a place that you trust, such as the host itself: they \
            are what everything else is proven with.

            A rotation signs everything that is live anew, and readers refuse it until they have the new line. So prepare \
            the key, give all readers both lines, and rotate then; after a theft, rotate at once.
            """,
        options: [
            .anyEnvironment,
            Option(name: "prepare", summary: "Make the key that the next rotation hands over to, and print its line"),
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
            Example(
                command: "ensign keys --env prod --prepare",
                meaning: "the line that readers need before a rotation"
            ),
            Example(command: "ensign keys --env prod --rotate", meaning: "replace prod's key"),
        ]
    ) { invocation in
        guard !invocation.has("prepare") || !invocation.has("rotate") else {
            throw UsageError(
                message: "--prepare and --rotate exclude each other: readers get the new line in between",
                verb: "keys"
            )
        }
        let site = try invocation.site()
        if invocation.has("prepare") { return try invocation.prepare(site) }
        if invocation.has("rotate") { return try invocation.rotate(site) }
        let names = try invocation["env"] == nil ? site.environments([]) : [invocation.knownEnvironment(site)]
        var keys: [SigningKey] = []
        var worst = ExitCode.done
        for name in names {
            do {
                keys += try SigningKey.all(site, name)
                if try !invocation.isQuiet && SigningKey.isHidden(site, name) {
                    invocation.console.note("\(name): whether a key is prepared is for the repository's owner to see")
                }
            } catch {
                // One that cannot be read does not hide the others' keys.
                let explanation = Explanation(error)
                explanation.print(to: invocation.console)
                worst = worst.worst(explanation.code)
            }
        }
        // Nothing would pass for "no keys".
        if keys.isEmpty, worst == .done, !site.reconciles {
            throw Failure(message: "there is no ledger here: whose keys count is not known", hints: [Ledger.fetching])
        }
        if invocation.format == .json {
            invocation.json(SigningKey.json(keys))
        } else {
            for key in keys { invocation.console.line(key.allowedSigner.onOneLine) }
            if keys.isEmpty, worst == .done, !invocation.isQuiet {
                invocation.console.note("no environment has a key yet: its first reconcile makes one")
            }
        }
        return worst
    }
}

extension Invocation {
    /// The rotation of the named environment.
    private func rotation(_ site: Site, _ option: String) throws -> (KeyRotation, String) {
        guard self["env"] != nil else {
            throw UsageError(message: "'keys --\(option)' needs --env ENV", verb: verb.name)
        }
        try requireHost(site)
        let environment = try knownEnvironment(site)
        return (KeyRotation(site: site, environment: environment, actor: actor(.cli)), environment)
    }

    fileprivate func prepare(_ site: Site) throws -> ExitCode {
        let (rotation, environment) = try rotation(site, "prepare")
        let key = SigningKey(environment: environment, line: try rotation.prepare().line, from: nil, to: nil)
        if format == .json { json(SigningKey.json([key])) } else { console.line(key.allowedSigner.onOneLine) }
        return .done
    }

    fileprivate func rotate(_ site: Site) throws -> ExitCode {
        let (rotation, environment) = try rotation(site, "rotate")
        let entry = try rotation.run(now: Timestamp(seconds: Machine.now))
        if format == .json {
            json(SigningKey.json(try SigningKey.all(site, environment)))
        } else {
            console.line("\(environment): entry \(entry.entry.sequence) hands over to \(entry.entry.keys?.last ?? "")")
        }
        console.note("The old key is kept beside the new one, with '.before-\(entry.entry.sequence)' behind its name.")
        return try signAnew(site, environment)
    }

    /// What is live has the old key's proof until the next run. It is not left to that.
    private func signAnew(_ site: Site, _ environment: String) throws -> ExitCode {
        var options = Reconciler.Options()
        options.readsTelemetry = false
        let reconciler = Reconciler(site: site, environment: environment, actor: actor(.cli), options: options)
        do {
            let count = try reconciler.run().sealed.count
            if count > 0 {
                console.note("\(environment): signed \(counted(count, "route")) anew: readers need the new line now")
            }
            return .done
        } catch {
            let explanation = Explanation(error)
            explanation.print(to: console)
            console.note("The key has changed; what is live is signed anew by: ensign reconcile --env \(environment)")
            return explanation.code
        }
    }
}
