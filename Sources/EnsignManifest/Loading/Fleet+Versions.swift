package import EnsignModel
import EnsignYAML

/// Reading one version of an agent: its manifest and the texts that it names.
extension Fleet {
    /// One version of an agent; nil when there is no such folder.
    package func agent(_ agent: AgentID, _ version: AgentVersion) throws -> LoadedAgent? {
        let folder = RepositoryPath.version(version, of: agent)
        guard let node = try self.node(folder), node.kind == .directory else { return nil }
        let files = try list(node)
        var manifest: Loaded<Agent>
        if let file = files.first(where: { $0.name == "agent.yaml" }), file.kind == .file {
            manifest = try load(Agent.self, file, "\(folder)/agent.yaml", agent.name, version.description)
        } else {
            let missing = Finding(
                code: "missing-file",
                "\(folder) has no agent.yaml",
                path: "\(folder)/agent.yaml",
                hint: "ensign new agent \(agent) shows one"
            )
            report(missing)
            manifest = Loaded(path: "\(folder)/agent.yaml", value: nil, findings: [missing])
        }
        var loaded = LoadedAgent(
            id: agent,
            version: version,
            path: manifest.path,
            value: manifest.value,
            isValid: manifest.isValid,
            files: files,
            texts: nil
        )
        if let value = manifest.value { loaded.texts = try texts(of: value, loaded, folder) }
        return loaded
    }

    /// Nil when one of them could not be read.
    private func texts(of value: Agent, _ loaded: LoadedAgent, _ folder: String) throws -> AgentTexts? {
        var texts = AgentTexts(instructions: nil)
        var isWhole = true
        if let file = value.instructions {
            texts.instructions = try text(of: file, "the instructions", loaded, folder)
            isWhole = texts.instructions != nil
        }
        for (name, file) in value.prompts.sorted(by: { $0.key < $1.key }) {
            texts.prompts[name] = try text(of: file, "the prompt", loaded, folder)
            isWhole = isWhole && texts.prompts[name] != nil
        }
        return isWhole ? texts : nil
    }

    /// The text of a file beside the manifest; nil, with a finding, when it could not be read.
    private func text(of named: Located<String>, _ what: String, _ loaded: LoadedAgent, _ folder: String) throws
        -> String?
    {
        let name = named.value
        guard let file = loaded.files.first(where: { $0.name == name }) else {
            report(
                Finding(
                    code: "missing-file",
                    "there is no file '\(name)' beside this one",
                    path: loaded.path,
                    at: named.position,
                    hint: Suggestion.hint(
                        for: name,
                        among: loaded.files.map(\.name).filter { $0 != "agent.yaml" },
                        plural: "files here"
                    )
                )
            )
            return nil
        }
        let path = "\(folder)/\(name)"
        guard acceptsKind(of: file, at: path) else { return nil }
        guard file.kind == .file else {
            report(
                Finding(
                    code: "wrong-type",
                    "'\(name)' must be a file",
                    path: loaded.path,
                    at: named.position
                )
            )
            return nil
        }
        guard let bytes = try bytes(of: file, path) else { return nil }
        guard !ManifestLoader.isLFSPointer(bytes) else {
            report(
                Finding(
                    code: "lfs-pointer",
                    "this is a Git LFS pointer, not \(what)",
                    path: path,
                    hint: ManifestLoader.lfsHint
                )
            )
            return nil
        }
        let scan = TextScan.scan(bytes, manifest: false)
        report(scan.problems.map { Finding($0, path, .error) } + scan.warnings.map { Finding($0, path, .warning) })
        guard scan.isText else { return nil }
        if bytes.count == scan.start {
            report(
                Finding(
                    code: "empty-file",
                    what == "the prompt" ? "the prompt is empty" : "the instructions are empty",
                    path: path
                )
            )
        }
        if let secret = Finding.secret(inText: bytes, path, isReleased: loaded.version != .next) { report(secret) }
        // The text is digested with LF line ends, so that a clone with core.autocrlf makes the same bundle.
        return String(decoding: bytes[scan.start...].withoutCarriageReturns, as: UTF8.self)
    }
}

/// One version of an agent and the contents of its folder.
package struct LoadedAgent: Sendable {
    package var id: AgentID
    package var version: AgentVersion
    /// Of the manifest.
    package var path: String
    package var value: Agent?
    /// Whether the manifest has no errors: then everything that it declares is in `value`.
    package var isValid: Bool
    package var files: [SnapshotNode]
    /// The texts that it names; nil when one could not be read.
    package var texts: AgentTexts?
}

extension ArraySlice<UInt8> {
    /// The bytes with CR LF turned into LF.
    fileprivate var withoutCarriageReturns: [UInt8] {
        guard contains(0x0D) else { return Array(self) }
        var result: [UInt8] = []
        result.reserveCapacity(count)
        for (index, byte) in zip(indices, self) {
            if byte == 0x0D, index + 1 < endIndex, self[index + 1] == 0x0A { continue }
            result.append(byte)
        }
        return result
    }
}
