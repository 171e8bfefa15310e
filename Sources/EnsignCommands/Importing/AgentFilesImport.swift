import EnsignCommandLine
import EnsignImport
import EnsignManifest
import EnsignModel
import EnsignSystem

/// `import crewai` and `import langgraph`: agents from a framework's files. Its code is never run.
struct AgentFilesImport {
    let invocation: Invocation

    init(_ invocation: Invocation) { self.invocation = invocation }

    private var isCrew: Bool { invocation.argument(0) == "crewai" }

    func run() throws -> ExitCode {
        guard let path = invocation.argument(1), invocation.argument(2) == nil else {
            let what = isCrew ? "the folder with agents.yaml" : "langgraph.json or its folder"
            throw UsageError(
                message: "'import \(invocation.argument(0) ?? "")' needs \(what)",
                verb: invocation.verb.name
            )
        }
        let fallback = try invocation["model"].map { text throws(UsageError) -> ModelName in
            guard let model = ModelName(text) else {
                throw UsageError(message: "--model is PROVIDER/NAME", verb: invocation.verb.name)
            }
            return model
        }
        let destination = try ToolDestination(invocation)
        let team = try destination.owner()
        let agents: [OfferedAgent]
        do {
            agents = try read(path)
        } catch let error as ForeignDocumentError {
            throw Failure(message: error.text(of: path), code: .invalid)
        }
        let outcomes = try agents.map { agent in
            try bring(agent, team, fallback, destination)
        }
        return invocation.show(outcomes)
    }

    // MARK: Reading

    private func read(_ path: String) throws -> [OfferedAgent] {
        guard isCrew else {
            guard let graphs = try document([path, "\(path)/langgraph.json"]) else {
                throw Failure(message: "\(path): there is no langgraph.json that can be read")
            }
            return try AgentFiles.langGraph(graphs)
        }
        let folders = [path, "\(path)/config", "\(path)/src/config"]
        guard let agents = try document(folders.map { "\($0)/agents.yaml" } + [path]) else {
            throw Failure(message: "\(path): there is no agents.yaml that can be read")
        }
        let folder = path.hasSuffix(".yaml") ? [Files.parent(of: path) ?? "."] : folders
        return try AgentFiles.crewAI(agents: agents, tasks: document(folder.map { "\($0)/tasks.yaml" }))
    }

    /// The first of some files that is there; nil where none is.
    private func document(_ paths: [String]) throws -> JSONValue? {
        for path in paths {
            // What is named may be the folder.
            let isFolder = ((try? Files.status("\(path)/.")) ?? nil) != nil
            guard !isFolder, let bytes = try Files.read(path, limit: 1 << 20) else { continue }
            do throws(ForeignDocumentError) {
                return try ForeignDocument.read(bytes)
            } catch {
                var error = error
                error.file = path
                throw error
            }
        }
        return nil
    }

    // MARK: Writing

    private func bring(
        _ agent: OfferedAgent,
        _ team: String,
        _ fallback: ModelName?,
        _ destination: ToolDestination
    ) throws -> ImportOutcome {
        let id = "\(team)/\(agent.name)"
        let folder = RepositoryPath.version(AgentVersion.next, of: id)
        var outcome = ImportOutcome(name: id, path: "\(folder)/agent.yaml", state: .unchanged)
        outcome.decisions = agent.decisions
        let prompt = agent.prompt.map { Array($0.utf8) }
        if let secret = prompt.flatMap({ Finding.secret(inText: $0, "\(folder)/prompt.md", isReleased: false) }) {
            outcome.state = .refused
            outcome.path = nil
            outcome.decisions.append(
                ImportDecision(.leftOut, agent.name, "its prompt: \(secret.message) [\(secret.code)]")
            )
            return outcome
        }
        if destination.has("\(folder)/agent.yaml") {
            // What people wrote stays: only the text that the files have is brought along.
            // Lines may end as the clone's settings want it.
            let present = destination.bytes("\(folder)/prompt.md").map { String(decoding: $0, as: UTF8.self) }
            guard let prompt, present?.replacing("\r\n", with: "\n") != agent.prompt else { return outcome }
            outcome.path = "\(folder)/prompt.md"
            outcome.differences = [ImportDifference(.changed, "prompt.md", ["the files say something else"])]
            outcome.state = try destination.put("\(folder)/prompt.md", prompt) ? .updated : .wouldUpdate
            return outcome
        }
        guard let manifest = agent.manifest(fallback: fallback.map { ($0.provider, $0.name) }) else {
            outcome.state = .refused
            outcome.path = nil
            let why = "the files name no model: --model PROVIDER/NAME"
            outcome.decisions.append(ImportDecision(.leftOut, agent.name, why))
            return outcome
        }
        let loaded = ManifestLoader.load(Agent.self, Array(manifest.utf8), path: "\(folder)/agent.yaml")
        let errors = loaded.findings.filter { $0.severity == .error }
        guard errors.isEmpty else {
            outcome.state = .refused
            outcome.path = nil
            outcome.decisions += errors.map { ImportDecision(.leftOut, agent.name, "\($0.message) [\($0.code)]") }
            return outcome
        }
        outcome.differences = [ImportDifference(.added, id)]
        if let prompt { _ = try destination.put("\(folder)/prompt.md", prompt) }
        outcome.state = try destination.put("\(folder)/agent.yaml", Array(manifest.utf8)) ? .created : .wouldCreate
        if let new = try destination.declare(team) { outcome.decisions.append(new) }
        return outcome
    }
}
