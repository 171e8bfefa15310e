import EnsignCommandLine
import EnsignManifest
import EnsignModel
import EnsignSystem

extension Verb {
    static let judge = Verb(
        name: "judge",
        group: .ask,
        summary: "Judge samples from standard input as a rollout would",
        discussion: """
            Reads one JSON object a line, in order of arrival: {"trial":"a","metric":"success","variant":"canary",\
            "value":1}. The variant is stable or canary; trial may be left out. Looks after every line, and at the end \
            prints one JSON object a line for each trial, in order of first appearance: the verdict (pass, fail, \
            inconclusive or no-data), how many of its lines had been read when it was decided, what each metric says, \
            and why. Lines that are not samples are named on standard error and left out. Exit status 0 whatever the \
            verdicts; 3 when the rules are invalid. docs/judge.md says what is tested and how.
            """,
        options: [
            Option(
                name: "rules",
                summary: "Read the mapping under 'analysis:' from FILE",
                value: "FILE",
                kind: .file,
                isRequired: true
            )
        ],
        examples: [
            Example(command: "ensign judge --rules rules.yaml < samples.jsonl", meaning: "one verdict for each trial"),
            Example(
                command: "zcat runs.jsonl.gz | ensign judge --rules rules.yaml",
                meaning: "what would these rules have said about an old canary?"
            ),
        ],
        output: .answer
    ) { invocation in
        let path = invocation["rules"] ?? ""
        guard let bytes = try Files.read(path, limit: 1 << 20) else {
            throw Failure(message: "there is no file '\(path)'")
        }
        let loaded = ManifestLoader.loadAnalysis(bytes, path: path)
        if !loaded.findings.isEmpty {
            let renderer = FindingRenderer(paint: invocation.console.paintNote) { $0 == path ? bytes : nil }
            invocation.console.note(String(renderer.render(loaded.findings).dropLast()))
        }
        guard loaded.isValid, let analysis = loaded.value else { return .invalid }
        var trials = Trials(analysis: analysis, console: invocation.console)
        try trials.read()
        trials.report()
        return .done
    }
}
