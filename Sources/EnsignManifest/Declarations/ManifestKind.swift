import EnsignModel

/// A kind of manifest: where it is and what it holds.
package enum ManifestKind: String, Sendable, CaseIterable {
    case agent = "Agent"
    case tool = "Tool"
    case role = "Role"
    case team = "Team"
    case prices = "Prices"
    case environment = "Environment"
    case binding = "Binding"
    case deployment = "Deployment"

    package static let apiVersion = "ensign.dev/v1"

    /// The path of manifests of this kind.
    package var pathPattern: String {
        switch self {
        case .agent: RepositoryPath.manifest(of: "<team>/<agent>", "<version>")
        case .tool: RepositoryPath.tool("<tool>", "<version>")
        case .role: RepositoryPath.role("<role>")
        case .team: RepositoryPath.team("<team>")
        case .prices: RepositoryPath.prices
        case .environment: RepositoryPath.environment("<env>")
        case .binding: RepositoryPath.binding("<tool>", in: "<env>")
        case .deployment: RepositoryPath.deployment("<team>/<agent>", in: "<env>")
        }
    }

    /// What the kind declares, in one sentence.
    package var summary: String {
        switch self {
        case .agent: "One version of an agent: its model, instructions, contract and needs."
        case .tool: "One released version of a tool: its server, operations and credentials."
        case .role: "A named set of grants."
        case .team: "The people who own agents and tools."
        case .prices: "US dollars for a million tokens, by model."
        case .environment: "The rules of one environment."
        case .binding: "One environment's server, credentials and pins for a tool."
        case .deployment: "Which version of an agent runs in an environment, and what it may do there."
        }
    }

    /// The whole document.
    package var fields: [Field] { Self.documents[self] ?? [] }

    /// Built once: checking asks for them for every file.
    private static let documents: [ManifestKind: [Field]] = Dictionary(
        uniqueKeysWithValues: allCases.map { ($0, $0.document) }
    )

    private var document: [Field] {
        [
            Field("apiVersion", "The manifest's format.", .text(.oneOf([Self.apiVersion])), required: true),
            Field("kind", "The kind of manifest.", .text(.oneOf([rawValue])), required: true),
            Field(
                "metadata",
                "Names, which must agree with the path, and labels.",
                .record([
                    Field("name", "The name that the path gives.", .text(.line)),
                    Field("version", "The version that the path gives.", .text(.line)),
                    Field(
                        "labels",
                        "Free labels, always text.",
                        .map(keys: .line, values: .text(.label), count: 0...64)
                    ),
                ])
            ),
            Field("spec", "What is declared.", self == .agent ? .agent(spec) : .record(spec), required: true),
        ]
    }

    private var spec: [Field] {
        switch self {
        case .agent: Self.agentSpec
        case .tool: Self.toolSpec
        case .role: [Field("grants", "What the role allows.", .list(Self.grant, count: 1...200), required: true)]
        case .team: Self.teamSpec
        case .prices:
            [
                Field(
                    "models",
                    "Prices by `<provider>/<model>`.",
                    .map(keys: .modelKey, values: .record(Self.price), count: 0...1_000),
                    required: true
                )
            ]
        case .environment: Self.environmentSpec
        case .binding: Self.bindingSpec
        case .deployment: Self.deploymentSpec
        }
    }
}
