import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel

/// The names that may come next in a command line that is being written.
///
/// They come from the repository that `--repo` names, bare or not, from any folder in it; without one from the manifests in
/// that directory. What cannot be read offers nothing.
extension Completer {
    func repositoryNames(_ kind: ValueKind) -> [String] {
        let words: [String]? =
            switch kind {
            case .text, .file, .choice, .setting: []
            case .environment: try? environments()
            case .agent: try? agents().map(\.description)
            case .team: fleets.flatMap { (try? $0.names(in: "teams", files: true)) ?? [] }
            case .tool: current.contains(".") ? operations() : tools
            case .operation: operations()
            case .version: versions(of: arguments.last { AgentID($0) != nil } ?? "").map(\.description)
            case .revision: try? revisions()
            case .side: sides()
            case .subject: subjects()
            }
        return words ?? []
    }

    private var site: Site? {
        let overrides: [(key: String, value: String)] = []
        return try? Site(Repository.Opening(path: values["repo"] ?? "."), overrides: overrides)
    }

    /// The desired commit's, then what is in the work tree.
    private var fleets: [Fleet] {
        let site = site
        let today = Timestamp(seconds: 0).date
        var fleets: [Fleet] = []
        if let site, let fleet = try? site.fleet(at: nil, today: today).fleet { fleets.append(fleet) }
        if let folder = site.map(\.repository.workTree) ?? "\(values["repo"] ?? ".")/" {
            let snapshot = try? site?.workTreeSnapshots(folder)()
            fleets.append(Fleet(snapshot: snapshot ?? DirectorySnapshot(path: folder), today: today))
        }
        return fleets
    }

    var knownEnvironments: [String] { (try? environments()) ?? [] }

    private func environments() throws -> [String] {
        try (site?.knownEnvironments().sorted() ?? []) + fleets.flatMap { try $0.environmentNames() }
    }

    private func agents() throws -> [AgentID] { try fleets.flatMap { try $0.agents() } }

    private func versions(of text: String) -> [AgentVersion] {
        guard let agent = AgentID(text) else { return [] }
        return fleets.flatMap { (try? $0.agentVersions(agent)) ?? [] }
    }

    private var tools: [String] { fleets.flatMap { (try? $0.names(in: "tools", files: false)) ?? [] } }

    /// `tool.operation`, of each tool's newest version; of all tools until one is written.
    private func operations() -> [String] {
        let named = current.split(separator: ".", omittingEmptySubsequences: false).first.map(String.init) ?? ""
        return fleets.flatMap { fleet -> [String] in
            let tools = ((try? fleet.names(in: "tools", files: false)) ?? []).filter { $0.hasPrefix(named) }
            return tools.flatMap { tool -> [String] in
                guard let newest = (try? fleet.toolVersions(tool))?.last,
                    let operations = (try? fleet.tool(tool, newest))??.value?.operations.keys
                else { return [] }
                return operations.map { "\(tool).\($0)" }
            }
        }
    }

    private func revisions() throws -> [String] {
        guard let site else { return [] }
        return try ["heads", "tags", "remotes"].flatMap { kind in
            try site.repository.references(matching: "refs/\(kind)/*").map {
                String($0.name.dropFirst("refs/\(kind)/".count))
            }
        }
    }

    /// What `new` makes something for that is there already.
    private func subjects() -> [String] {
        switch arguments.first {
        case "version", "deployment": ((try? agents()) ?? []).map(\.description)
        case "binding": tools
        default: []
        }
    }

    /// What `diff` compares: `team/agent@version`, environments, revisions.
    private func sides() -> [String] {
        if let sign = current.firstIndex(of: "@") {
            let agent = String(current[..<sign])
            let versions = versions(of: agent).map { "\(agent)@\($0)" }
            if !versions.isEmpty { return versions }
        }
        return ((try? environments()) ?? []) + ((try? agents()) ?? []).map { "\($0)@" } + ((try? revisions()) ?? [])
    }
}
