import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignTestSupport
import EnsignYAML
import Testing

@Suite("Manifests with slips")
struct FuzzTests {
    private static let hostile = [
        "\u{0}", "\t", "\r", "\r\n", "\u{85}", "\u{2028}", "\u{FEFF}", "\u{202E}", "&a ", "*a", "<<: *a\n", "!!str ",
        "---\n",
        "%YAML 1.2\n", "? ", ": ", "- ", "[", "]", "{", "}", "[[], [], []]: ", "{a: b}: ", "\"", "'", "|\n", ">-\n",
        "#",
        "\n", "\n  ", "  ", "~", "no", "1.10", "-9223372036854775808", "1e400", "0x1F", "null", "true", "{}", "[]",
        "\u{1F600}", "e\u{301}", "$ref: \"#/$defs/x\"", "$defs: {}", "additionalProperties: false", "version: ", "next",
    ]

    /// Loads a manifest as the kind that belongs to its path.
    private func load(_ bytes: [UInt8], _ path: String) -> [Finding]? {
        let parts = path.split(separator: "/")
        guard path.hasSuffix(".yaml") else { return nil }
        return switch (parts[0], parts[1], parts.count) {
        case ("fleet", "agents", _):
            ManifestLoader.load(Agent.self, bytes, path: path, name: "a", version: "1.0.0").findings
        case ("fleet", "tools", _):
            ManifestLoader.load(Tool.self, bytes, path: path, name: "a", version: "1.0.0").findings
        case ("fleet", "roles", _): ManifestLoader.load(Role.self, bytes, path: path, name: "a").findings
        case ("fleet", "teams", _): ManifestLoader.load(Team.self, bytes, path: path, name: "a").findings
        case ("fleet", _, _): ManifestLoader.load(Prices.self, bytes, path: path).findings
        case ("environments", _, 3): ManifestLoader.load(Environment.self, bytes, path: path, name: "a").findings
        case ("environments", _, _):
            parts[2] == "tools"
                ? ManifestLoader.load(Binding.self, bytes, path: path, name: "a").findings
                : ManifestLoader.load(Deployment.self, bytes, path: path, name: "a").findings
        default: nil
        }
    }

    @Test(
        "Any slip in a sample manifest is read without a crash, and findings stand inside the text",
        arguments: 0..<16 as Range<UInt64>
    )
    func sampleManifests(batch: UInt64) throws {
        var random = SeededGenerator(for: "sample manifests \(batch)", standard: 31_000 + batch)
        let files = try packageFiles(below: "fleet", "environments").sorted { $0.key < $1.key }.filter {
            $0.key.hasSuffix(".yaml")
        }
        for _ in 0..<150 {
            let (path, original) = random.pick(files)
            let bytes = original.mutated(&random, hostile: Self.hostile)
            for finding in load(bytes, path) ?? [] {
                for position in [finding.position] + finding.notes.map(\.position) {
                    let isInside = position.lies(inside: bytes)
                    #expect(isInside, "seed \(random.seed): \(finding)\n\(String(decoding: bytes, as: UTF8.self))")
                }
            }
        }
    }

    @Test(
        "Any slip in a small fleet is found inside its files, or the fleet compiles",
        arguments: 0..<16 as Range<UInt64>
    )
    func smallFleets(batch: UInt64) throws {
        var random = SeededGenerator(for: "small fleets \(batch)", standard: 47_000 + batch)
        let small = FleetFixture()
        let paths = small.entries.keys.sorted()
        for _ in 0..<60 {
            var fixture = small
            for _ in 0..<random.int(1...2) {
                let path = random.pick(paths)
                guard case .text(let text)? = small.entries[path] else { continue }
                fixture.entries[path] = .bytes(Array(text.utf8).mutated(&random, hostile: Self.hostile))
            }
            func bytes(_ path: String) -> [UInt8]? {
                switch fixture.entries[path] {
                case .text(let text): Array(text.utf8)
                case .bytes(let bytes): bytes
                default: nil
                }
            }
            func said(_ what: String) -> String {
                "seed \(random.seed): \(what)\n"
                    + paths.filter { bytes($0) != small.entries[$0].flatMap(Self.bytes) }
                    .map { "\($0):\n\(String(decoding: bytes($0) ?? [], as: UTF8.self))" }.joined(separator: "\n")
            }
            let findings = try fixture.findings()
            for finding in findings {
                for (path, position) in [(finding.path, finding.position)]
                    + finding.notes.map({ ($0.path, $0.position) })
                {
                    let isInside = position.lies(inside: bytes(path) ?? [])
                    #expect(isInside, "\(said("\(finding)"))")
                }
            }
            let fleet = fixture.fleet()
            let compiler = EnvironmentCompiler(fleet: fleet, environment: "prod")
            for agent in [AgentID.triage, .desk] {
                guard let compiled = try compiler.compile(agent)?.bundle else {
                    #expect(fleet.hasErrors, "\(said("no bundle of \(agent), and nothing says why"))")
                    continue
                }
                guard !fleet.hasErrors else { continue }
                #expect(
                    try JSONParser.parse(compiled.bytes).canonicalBytes() + [0x0A] == compiled.bytes,
                    "\(said("bytes"))"
                )
                for operation in try compiled.bundle.tools.flatMap(\.operations.values) {
                    guard let input = operation.input else { continue }
                    #expect(throws: Never.self, "\(said("input"))") { try JSONSchema(input) }
                }
            }
            // What one agent's compile finds, checking the whole fleet finds too.
            let missing = fleet.findings.filter { !findings.contains($0) }
            #expect(missing == [], "\(said("only the environment's own check finds \(missing)"))")
        }
    }

    private static func bytes(_ entry: MemorySnapshot.Entry) -> [UInt8]? {
        if case .text(let text) = entry { Array(text.utf8) } else { nil }
    }
}
