import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignReconciler
import EnsignSystem

/// There is no git repository at a place.
struct NoRepository: Error, Sendable, Hashable {
    var place: String
}

extension Invocation {
    /// Where to look for the repository.
    var directory: String { self["repo"] ?? "." }

    /// Opens the repository.
    ///
    /// - Parameter path: Where the repository is; nil for the one that the command works on.
    func site(at path: String? = nil, insideHook: Bool = false) throws -> Site {
        let objects = insideHook ? Machine.environment("GIT_QUARANTINE_PATH") : nil
        do {
            let site = try Site(
                Repository.Opening(path: path ?? directory, insideHook: insideHook, objectDirectory: objects),
                overrides: overrides
            )
            // Git itself has chosen a hook's repository.
            if path == nil, self["repo"] == nil, !insideHook {
                try Discovery.check(site.repository, site.configuration, from: directory)
            }
            return site
        } catch let refusal as Discovery.Refusal {
            throw Failure(message: refusal.description, hints: ["if you mean it, name it: --repo \(refusal.path)"])
        } catch let error as GitError {
            throw explained(error, at: path ?? directory)
        }
    }

    /// The same; nil where there is no repository yet, and no other reason not to open one.
    func siteIfAny() throws -> Site? {
        do { return try site() } catch is NoRepository { return nil }
    }

    private func explained(_ error: GitError, at directory: String) -> any Error {
        guard Files.canonical(directory) != nil || directory.contains("://") else {
            return directory == "."
                ? Failure(message: "the folder that this was started in is gone", hints: ["start it in another one"])
                : Failure(message: "there is no folder '\(directory.onOneLine)'")
        }
        if let owned = ownedByAnother(at: directory) {
            return Failure(
                message: "the repository at \(owned) belongs to another account",
                hints: ["run it as that account, or trust it: git config --global --add safe.directory \(owned)"]
            )
        }
        if error.isNotFound { return NoRepository(place: Files.canonical(directory) ?? directory) }
        let extensions = [directory + "/.git", directory].flatMap { Repository.extensions(inGitDirectory: $0) }
        guard let name = extensions.first(where: { $0 != Repository.workTreeExtension }) else { return error }
        let fallback =
            switch name {
            case "extensions.partialclone": "clone it again without --filter"
            case "extensions.objectformat": "clone into a repository made with --object-format=sha1"
            default: "clone it again without that extension"
            }
        return Failure(
            message: "this repository uses git's extension '\(name)', which Ensign cannot read",
            hints: [fallback]
        )
    }

    /// The repository here that libgit2 does not open because it belongs to somebody else.
    private func ownedByAnother(at directory: String) -> String? {
        guard var place = Files.canonical(directory) else { return nil }
        while true {
            for candidate in [place, "\(place)/.git"] {
                guard (try? Files.status("\(candidate)/HEAD")) != nil,
                    (try? Files.status("\(candidate)/objects")) != nil,
                    let owner = (try? Files.status(candidate))?.owner
                else { continue }
                return owner == Machine.effectiveUserID ? nil : place
            }
            guard let parent = Files.parent(of: place) else { return nil }
            place = parent
        }
    }

    /// Says what is behind a missing object in a partial clone: it is not damaged.
    func explainedIfPartial(_ error: any Error) -> any Error {
        guard let missing = error as? GitError, missing.isNotFound, (try? site())?.repository.isPartial == true else {
            return error
        }
        return Failure(
            message: "\(missing.description); this is a partial clone, which Ensign cannot complete",
            hints: ["clone it again without --filter"]
        )
    }

    /// The environment that `--env` names.
    func environment() throws(UsageError) -> String {
        guard let name = self["env"] else {
            throw UsageError(message: "'\(verb.name)' needs --env ENV", verb: verb.name)
        }
        guard Name.isValid(name) else {
            throw UsageError(message: "'\(name)' is not the name of an environment: \(Name.rule)", verb: verb.name)
        }
        return name
    }

    /// The agent that an argument names.
    func agent(_ index: Int) throws(UsageError) -> AgentID {
        let text = argument(index) ?? ""
        guard let agent = AgentID(text) else {
            throw UsageError(
                message: "'\(text)' is not an agent: write <team>/<agent>",
                hint: (try? site())?.agentsCalled(text, today: today),
                verb: verb.name
            )
        }
        return agent
    }

    /// What `--reason` says, for the record; nil when it was left out.
    ///
    /// - Throws: ``UsageError`` when it says nothing.
    func reason() throws(UsageError) -> String? {
        guard let reason = self["reason"] else { return nil }
        guard !reason.allSatisfy(\.isWhitespace) else {
            throw UsageError(message: "--reason must say why: others read it in the record", verb: verb.name)
        }
        return reason
    }

    /// The same where the record must have one.
    ///
    /// - Parameter what: What of the verb needs it: `--now`.
    func requiredReason(_ what: String? = nil) throws(UsageError) -> String {
        guard let reason = try reason() else {
            throw UsageError(
                message:
                    "'\(([verb.name] + [what].compactMap { $0 }).joined(separator: " "))' needs --reason TEXT: others read it in the record",
                verb: verb.name
            )
        }
        return reason
    }

    var today: CalendarDate { now.date }

    var now: Timestamp { Timestamp(seconds: Machine.now) }

    /// Who writes entries.
    func actor(_ mode: Entry.Actor.Mode) -> Entry.Actor {
        Entry.Actor(mode: mode, name: Machine.userName, host: Machine.hostName, version: App.version)
    }
}
