import EnsignManifest
import EnsignModel
import EnsignTestSupport
import EnsignYAML

@testable import EnsignGateway

/// Any text: read without a trap, and problems stand inside it.
func yaml(_ bytes: [UInt8]) {
    let scan = TextScan.scan(bytes, manifest: true)
    guard scan.isText else { return }
    let (tape, problems) = YAMLParser.parse(scan.text)
    // What is open where reading stops may each have one more, and its keys twice.
    must(problems.count <= YAMLParser.maxProblems + YAMLParser.maxDepth + 13, "\(problems.count) problems")
    guard let root = tape.root else { return }
    var stack = [root]
    while let node = stack.popLast() {
        _ = tape.mark(of: node)
        switch tape.kind(of: node) {
        case .mapping:
            tape.forEachPair(of: node) { key, value in
                stack += [key, value]
            }
        case .sequence: tape.forEachElement(of: node) { stack.append($0) }
        default: _ = tape.string(of: node)
        }
    }
}

/// A manifest of the kind that the first byte chooses.
func manifests(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let bytes = Array(input.dropFirst())
    let path = "file.yaml"
    switch first {
    case UInt8(ascii: "a"):
        check(ManifestLoader.load(Agent.self, bytes, path: path, name: "a", version: "1.0.0").findings, bytes)
    case UInt8(ascii: "t"):
        check(ManifestLoader.load(Tool.self, bytes, path: path, name: "a", version: "1.0.0").findings, bytes)
    case UInt8(ascii: "r"): check(ManifestLoader.load(Role.self, bytes, path: path, name: "a").findings, bytes)
    case UInt8(ascii: "m"): check(ManifestLoader.load(Team.self, bytes, path: path, name: "a").findings, bytes)
    case UInt8(ascii: "p"): check(ManifestLoader.load(Prices.self, bytes, path: path).findings, bytes)
    case UInt8(ascii: "b"): check(ManifestLoader.load(Binding.self, bytes, path: path, name: "a").findings, bytes)
    default: check(ManifestLoader.load(Deployment.self, bytes, path: path, name: "a").findings, bytes)
    }
}

/// An environment: rollouts, guards, the kill switch's rules; what is declared can be said in words.
func rules(_ bytes: [UInt8]) {
    let loaded = ManifestLoader.load(Environment.self, bytes, path: "file.yaml", name: "a")
    check(loaded.findings, bytes)
    check(ManifestLoader.loadAnalysis(bytes, path: "file.yaml").findings, bytes)
}

/// The operator's file of a gateway.
func gatewayFile(_ bytes: [UInt8]) {
    check(GatewayFile.read(bytes, path: "gateway.yaml").findings, bytes)
}

private func check(_ findings: [Finding], _ bytes: [UInt8]) {
    for finding in findings {
        for position in [finding.position] + finding.notes.map(\.position) {
            must(position.lies(inside: bytes), "outside the text: \(finding)")
        }
        _ = finding.json
    }
}
