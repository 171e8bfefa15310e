import EnsignCommandLine
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignSystem

/// What the host of a fleet alone does: the one place that says where it is done, and how whoever asks in a clone gets there.
extension Invocation {
    /// That this command is the host's business.
    func requireHost(_ site: Site) throws {
        guard !site.reconciles else { return }
        let isClient = site.settings.isClient
        // A clone of a forge becomes the host itself.
        let others = isClient ? [] : ["if this is to be the host: ensign init"]
        let message =
            isClient ? ReconcileError.client.description : "this is a clone, and Ensign is not set up in it"
        try site.requireHost(message, command, others)
    }

    /// The command as it is written on another machine: without what is of this one.
    private var command: String {
        let own: Set = ["repo", "config", "quiet", "no-color", "output"]
        let options = verb.options.filter { !own.contains($0.name) }.flatMap { option in
            all(option.name).flatMap { ["--\(option.name)"] + (option.value == nil ? [] : [$0]) }
        }
        return ClientLines(program: App.name, arguments: [verb.name] + arguments + options).shell
    }
}

extension Site {
    /// That stopping and starting agents is the host's business.
    ///
    /// - Parameter words: The command, to be run there.
    func requireHost(_ words: String, _ environment: String, _ agent: AgentID?, halted: Bool) throws {
        let path =
            agent.map { RepositoryPath.deployment($0, in: environment) } ?? "environments/\(environment)/agents/..."
        try requireHost(
            "this is a clone: agents are stopped and started on the host",
            words,
            ["or from here, as fast as a push: halted: \(halted) in \(path)"]
        )
    }

    /// - Parameters:
    ///   - message: What this is instead of the host.
    ///   - words: The command, to be run there.
    ///   - others: What else helps.
    fileprivate func requireHost(_ message: String, _ words: String, _ others: [String]) throws {
        guard !reconciles else { return }
        let isClone = try settings.isClient || !Git.run(["remote"], in: self).outputText.isEmpty
        guard isInitialised || isClone else { throw ReconcileError.notInitialised }
        throw Refusal(message: message, hints: ["on the host, by ssh: \(words)"] + others)
    }
}
