import EnsignModel
import EnsignYAML

/// What the parts of an agent's `spec` mean together.
extension ShapeChecker {
    mutating func checkAgent(_ spec: Int) {
        let runtime = tape.value(in: spec, for: Array("runtime".utf8))
        checkModel(spec, runtime)
        if let runtime { checkHidden(runtime) }
    }

    /// An agent has a model, or its runtime says by digest what it runs, with the models inside.
    private mutating func checkModel(_ spec: Int, _ runtime: Int?) {
        guard tape.isComplete, tape.value(in: spec, for: Array("model".utf8)) == nil else { return }
        let parts = runtime.flatMap { JSONValue(tape, $0) }
        if let image = parts?["image"]?.string, Self.isPinned(image) { return }
        if parts?["graph"]?.string != nil, let digest = parts?["digest"]?.string, Digest(digest) != nil { return }
        error(
            "missing-field",
            "spec needs 'model': the language model that it calls",
            spec,
            hint:
                "an agent that brings its own says by digest what it runs: runtime: {image: NAME@sha256:...}, or {graph: NAME, digest: sha256:...}"
        )
    }

    private static func isPinned(_ image: String) -> Bool {
        image.split(separator: "@", maxSplits: 1).last.map { image.contains("@") && Digest(String($0)) != nil } ?? false
    }

    /// `runtime` is handed on untouched: what is there is granted by nobody, and no plan shows it.
    private mutating func checkHidden(_ runtime: Int) {
        for node in runtime..<tape.end(of: runtime) where tape.kind(of: node) == .mapping {
            var found: [(key: Int, sentence: String)] = []
            tape.forEachPair(of: node) { key, _ in
                guard tape.kind(of: key) == .plain || tape.kind(of: key) == .quoted else { return }
                HiddenAuthority.sentence(tape.string(of: key)).map { found.append((key, $0)) }
            }
            for (key, sentence) in found {
                findings.add(
                    .warning,
                    "hidden-authority",
                    sentence,
                    at: Position(tape.mark(of: key)),
                    hint: "declare it as a tool, name it in needs, and grant it"
                )
            }
        }
    }
}
