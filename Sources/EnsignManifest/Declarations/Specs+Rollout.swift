import EnsignModel

extension ManifestKind {
    static let rollout: Shape = .choice([
        Field("immediate", "Everyone at once.", .record([])),
        Field(
            "canary",
            "Step by step, judged on the way.",
            .canary([
                Field(
                    "steps",
                    "Shares of the sessions, each larger than the one before.",
                    .list(
                        .record([
                            Field("weight", "Per cent of the sessions.", .integer(1...100), required: true),
                            Field("hold", "How long to stay at this weight.", .text(.duration), required: true),
                        ]),
                        count: 1...50
                    ),
                    required: true
                ),
                Field("analysis", "What judges the candidate.", .record(analysis)),
            ])
        ),
    ])

    static let analysis: [Field] = [
        Field("metrics", "What is measured on both versions.", .list(.metric(metric), count: 1...20), required: true),
        Field(
            "confidence",
            "Of the whole analysis, shared among its metrics.",
            .number(0.5...0.999999),
            standard: "0.95"
        ),
        Field("deadline", "When a verdict must be there.", .text(.duration)),
        Field(
            "onInconclusive",
            "What happens when it is not.",
            .text(.oneOf(Analysis.Inconclusive.self)),
            standard: "hold"
        ),
    ]

    private static let metric: [Field] = [
        Field(
            "name",
            "What is measured: `success`, `cost`, `tokens`, `latency`, `steps`, `tool-errors`, `denied-calls`, `evaluation:<name>` or `prometheus:<name>`.",
            .text(.line),
            required: true
        ),
        Field(
            "kind",
            "What it measures; `success` and evaluations are rates, `cost`, `tokens`, `latency` and `steps` are not.",
            .text(.oneOf(Analysis.Kind.self)),
            required: true
        ),
        Field(
            "good",
            "Rates: whether a high rate is good. True for `success` and evaluations if absent; `prometheus:<name>` needs it.",
            .boolean
        ),
        Field("unit", "The unit, for people.", .text(.line)),
        Field("margin", "How much worse is still no worse; of a rate 1 at most.", .margin, required: true),
        Field(
            "guard",
            "Whether the stable version is judged too; `halt`: and the agent is halted when it drifts.",
            .booleanOr("halt"),
            standard: "false"
        ),
        Field(
            "query",
            "For `prometheus:<name>`, which needs it: PromQL that gives a series for each version, on one line.",
            .text(.query)
        ),
        Field(
            "step",
            "For `prometheus:<name>`: how far its samples are apart, 1s to 1h.",
            .text(.step),
            standard: PrometheusQuery.standardStep.description
        ),
    ]
}
