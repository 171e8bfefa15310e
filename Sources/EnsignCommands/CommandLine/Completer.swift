import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel

/// What may stand where a command line is being written: what the completion scripts ask for, at each press of the key.
///
/// Names come from the repository that `--repo` names, bare or not, from any folder in it; without one from the manifests
/// in that directory. What cannot be read offers nothing, and says nothing.
struct Completer {
    /// One word, and what it means; empty for names.
    struct Candidate: Sendable, Hashable {
        var word: String
        var meaning = ""
    }

    /// What was written up to the cursor, as far as it is understood.
    private(set) var verb: Verb?
    private(set) var values: [String: String] = [:]
    private(set) var arguments: [String] = []
    /// The option whose value is being written.
    private var pending: Option?
    private let current: String

    /// - Parameter words: After the program's name; the last one is being written, and may be empty.
    init(_ words: [String]) {
        current = words.last ?? ""
        var rest = words.dropLast()[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("-"), word != "-", word != "--" else {
                if word == "--" { continue }
                if verb == nil { verb = Verbs.all.first { $0.name == word } } else { arguments.append(word) }
                continue
            }
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let option = option(parts[0]), option.value != nil else { continue }
            if parts.count == 2 {
                values[option.name] = parts[1]
            } else if let value = rest.popFirst() {
                values[option.name] = value
            } else {
                pending = option
            }
        }
    }

    /// Those that go on with what is written. Empty where nothing is known, or a file is wanted.
    func candidates() -> [Candidate] {
        if let pending { return matching(names(pending.kind)) }
        if current.hasPrefix("--"), let sign = current.firstIndex(of: "=") {
            let prefix = String(current[...sign])
            guard let option = option(String(current[..<sign])) else { return [] }
            return matching(names(option.kind).map { Candidate(word: prefix + $0.word) })
        }
        if current.hasPrefix("-") {
            return matching(options.map { Candidate(word: "--\($0.name)", meaning: $0.summary) })
        }
        guard let verb else {
            return matching(Verbs.all.map { Candidate(word: $0.name, meaning: $0.summary) })
        }
        guard arguments.count < verb.arguments.count else { return [] }
        return matching(names(verb.arguments[arguments.count].kind))
    }

    private var options: [Option] { (verb.map { $0.options + Parser.outputOption($0) } ?? []) + Option.common }

    private func option(_ word: String) -> Option? {
        options.first { "--\($0.name)" == word || $0.short.map { "-\($0)" } == word }
    }

    private func matching(_ found: [Candidate]) -> [Candidate] { found.filter { $0.word.hasPrefix(current) } }

    // MARK: Names

    private func names(_ kind: ValueKind) -> [Candidate] {
        let words: [String]? =
            switch kind {
            case .text, .file: []
            case .choice(let choices): choices
            case .environment: try? environments()
            case .agent: try? agents().map(\.description)
            case .team: fleets.flatMap { (try? $0.names(in: "teams", files: true)) ?? [] }
            case .tool: current.contains(".") ? operations() : tools
            case .operation: operations()
            case .version: versions(of: arguments.last { AgentID($0) != nil } ?? "").map(\.description)
            case .revision: try? revisions()
            case .side: sides()
            }
        return Set(words ?? []).sorted().map { Candidate(word: $0) }
    }

    private var site: Site? {
        let overrides: [(key: String, value: String)] = []
        return try? Site(Site.Opening(path: values["repo"] ?? "."), overrides: overrides)
    }

    /// The desired commit's, then what stands in the work tree.
    private var fleets: [Fleet] {
        let site = site
        let today = Timestamp(seconds: 0).date
        var fleets: [Fleet] = []
        if let site, let fleet = try? site.fleet(at: nil, today: today).fleet { fleets.append(fleet) }
        if let folder = site.map(\.repository.workTree) ?? "\(values["repo"] ?? ".")/" {
            fleets.append(Fleet(snapshot: DirectorySnapshot(path: folder), today: today))
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

    /// What `diff` compares: `team/agent@version`, environments, revisions.
    private func sides() -> [String] {
        if let sign = current.firstIndex(of: "@") {
            let agent = String(current[..<sign])
            let versions = versions(of: agent).map { "\(agent)@\($0)" }
            if !versions.isEmpty { return versions }
        }
        return ((try? environments()) ?? []) + ((try? agents()) ?? []).map { "\($0)@" } + ((try? revisions()) ?? [])
    }

    // MARK: For a shell

    /// A line for each candidate. For zsh with the meaning behind a colon, as `_describe` reads it.
    static func lines(_ shell: String, _ words: [String]) -> String {
        Completer(words).candidates().map { candidate in
            guard shell == "zsh" else { return "\(candidate.word)\n" }
            let word = candidate.word.replacing(":", with: "\\:")
            return candidate.meaning.isEmpty ? "\(word)\n" : "\(word):\(candidate.meaning)\n"
        }.joined()
    }
}
