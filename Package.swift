// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target: explicit existentials, imports that do not leak, each unsafe use marked, warnings as errors.
let swift: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

/// A C library's archive, linked statically so that the binary starts fast and runs anywhere.
func archive(_ name: String) -> LinkerSetting { .linkedLibrary(":lib\(name).a") }

/// The tests of one module.
func test(_ module: String, _ more: [String] = [], exclude: [String] = []) -> Target {
    .testTarget(
        name: "\(module)Tests",
        dependencies: ([module, "EnsignTestSupport"] + more).map { Target.Dependency(stringLiteral: $0) },
        exclude: exclude,
        swiftSettings: swift
    )
}

/// What `make fuzz` builds, with sanitizers and into a folder of its own; nobody else sees it.
let fuzzed: [Target] =
    Context.environment["ENSIGN_FUZZ"] == nil
    ? []
    : [
        .executableTarget(
            name: "ensign-fuzz",
            dependencies: [
                "EnsignModel", "EnsignYAML", "EnsignJSON", "EnsignCrypto", "EnsignGit", "EnsignManifest",
                "EnsignPolicy",
                "EnsignPlanner", "EnsignJudge", "EnsignTelemetry", "EnsignImport", "EnsignMCP", "EnsignGateway",
                "EnsignTestSupport",
            ],
            path: "Tests/Fuzz",
            exclude: ["fuzz.py"],
            swiftSettings: swift + [.unsafeFlags(["-parse-as-library"])]
        )
    ]

let package = Package(
    name: "ensign",
    products: [
        .executable(name: "ensign", targets: ["ensign"]),
        .executable(name: "ensign-gateway", targets: ["ensign-gateway"]),
    ],
    targets: [
        // C and C++ libraries.
        .target(
            name: "CGit2",
            linkerSettings: ["git2", "pcre2-8", "z", "mbedcrypto", "http_parser"].map(archive)
        ),
        .target(name: "CYAML", linkerSettings: [archive("yaml")]),
        .target(name: "CSodium", linkerSettings: [archive("sodium")]),
        // Its names stay inside: the gateway also loads a libnettle, below GnuTLS.
        .target(
            name: "CNettle",
            linkerSettings: [archive("nettle"), .unsafeFlags(["-Xlinker", "--exclude-libs=libnettle.a"])]
        ),
        .target(name: "CMbedTLS", linkerSettings: [archive("mbedcrypto")]),
        .target(
            name: "CJSONSchema",
            cxxSettings: [.define("VALIJSON_USE_EXCEPTIONS", to: "1")],
            linkerSettings: [archive("pcre2-8")]
        ),
        .target(name: "CSystem"),
        // Loaded when it is first needed: nothing is linked.
        .target(name: "CCurl"),
        .target(name: "CKeeper"),
        // For the gateway alone.
        .target(name: "CZlib", linkerSettings: [archive("z")]),
        .target(name: "CMicroHTTPD", linkerSettings: [.linkedLibrary("microhttpd"), .linkedLibrary("gnutls")]),

        // Values.
        .target(name: "EnsignModel", swiftSettings: swift),

        // One Swift module for each C library, no policy.
        .target(name: "EnsignYAML", dependencies: ["CYAML", "EnsignModel"], swiftSettings: swift),
        .target(name: "EnsignGit", dependencies: ["CGit2", "EnsignModel"], swiftSettings: swift),
        .target(
            name: "EnsignCrypto",
            dependencies: ["CSodium", "CNettle", "CMbedTLS", "EnsignModel"],
            swiftSettings: swift
        ),
        .target(name: "EnsignJSON", dependencies: ["CJSONSchema", "EnsignModel"], swiftSettings: swift),
        .target(name: "EnsignSystem", dependencies: ["CSystem", "CKeeper"], swiftSettings: swift),

        // What Ensign is.
        .target(
            name: "EnsignManifest",
            dependencies: ["EnsignModel", "EnsignYAML", "EnsignJSON", "EnsignCrypto"],
            swiftSettings: swift
        ),
        .target(
            name: "EnsignPolicy",
            dependencies: ["EnsignModel", "EnsignCrypto", "EnsignJSON"],
            swiftSettings: swift
        ),
        .target(name: "EnsignJudge", dependencies: ["EnsignModel"], swiftSettings: swift),
        .target(name: "EnsignPlanner", dependencies: ["EnsignModel", "EnsignJudge"], swiftSettings: swift),
        .target(
            name: "EnsignLedger",
            dependencies: ["EnsignModel", "EnsignGit", "EnsignCrypto", "EnsignJSON", "EnsignSystem", "EnsignPolicy"],
            swiftSettings: swift
        ),
        .target(
            name: "EnsignTargets",
            dependencies: ["EnsignModel", "EnsignSystem"],
            swiftSettings: swift
        ),
        .target(
            name: "EnsignTelemetry",
            dependencies: ["EnsignModel", "EnsignJSON", "EnsignPolicy", "EnsignSystem"],
            swiftSettings: swift
        ),
        .target(
            name: "EnsignHost",
            dependencies: [
                "EnsignModel", "EnsignGit", "EnsignCrypto", "EnsignJSON", "EnsignSystem", "EnsignManifest",
                "EnsignPolicy", "EnsignLedger", "EnsignTargets",
            ],
            swiftSettings: swift
        ),
        .target(
            name: "EnsignReconciler",
            dependencies: [
                "EnsignModel", "EnsignGit", "EnsignCrypto", "EnsignJSON", "EnsignSystem", "EnsignManifest",
                "EnsignPolicy", "EnsignJudge", "EnsignPlanner", "EnsignLedger", "EnsignTargets", "EnsignTelemetry",
                "EnsignHost",
            ],
            swiftSettings: swift
        ),
        .target(
            name: "EnsignQueries",
            dependencies: [
                "EnsignModel", "EnsignGit", "EnsignCrypto", "EnsignSystem", "EnsignManifest", "EnsignPolicy",
                "EnsignJudge", "EnsignPlanner", "EnsignLedger", "EnsignTargets", "EnsignTelemetry", "EnsignHost",
                "EnsignReconciler",
            ],
            swiftSettings: swift
        ),
        .target(
            name: "EnsignMCP",
            dependencies: ["CCurl", "EnsignModel", "EnsignJSON", "EnsignSystem"],
            swiftSettings: swift
        ),
        .target(
            name: "EnsignImport",
            dependencies: ["EnsignModel", "EnsignYAML", "EnsignJSON", "EnsignManifest", "EnsignPlanner"],
            swiftSettings: swift
        ),
        .target(
            name: "EnsignSupervisor",
            dependencies: [
                "EnsignModel", "EnsignGit", "EnsignSystem", "EnsignJudge", "EnsignPlanner", "EnsignLedger",
                "EnsignTelemetry", "EnsignHost", "EnsignReconciler",
            ],
            swiftSettings: swift
        ),

        // The enforcement point. Never sees git, the ledger or its keys.
        .target(
            name: "EnsignGateway",
            dependencies: [
                "CMicroHTTPD", "CZlib", "EnsignModel", "EnsignCrypto", "EnsignJSON", "EnsignSystem", "EnsignManifest",
                "EnsignPolicy", "EnsignMCP", "EnsignTelemetry",
            ],
            swiftSettings: swift
        ),

        // The command line: how programs are spoken to, knowing nothing of what they do.
        .target(
            name: "EnsignCommandLine",
            dependencies: ["EnsignModel", "EnsignJSON", "EnsignSystem"],
            swiftSettings: swift
        ),
        .target(
            name: "EnsignCommands",
            dependencies: [
                "EnsignCommandLine", "EnsignModel", "EnsignGit", "EnsignCrypto", "EnsignJSON", "EnsignSystem",
                "EnsignManifest",
                "EnsignJudge", "EnsignPlanner", "EnsignLedger", "EnsignTargets", "EnsignHost", "EnsignReconciler",
                "EnsignPolicy", "EnsignQueries", "EnsignSupervisor", "EnsignMCP", "EnsignImport",
            ],
            swiftSettings: swift
        ),
        .executableTarget(name: "ensign", dependencies: ["EnsignCommands", "EnsignSystem"], swiftSettings: swift),
        .target(
            name: "EnsignGatewayCommands",
            dependencies: [
                "EnsignCommandLine", "EnsignModel", "EnsignCrypto", "EnsignJSON", "EnsignSystem", "EnsignGateway",
            ],
            swiftSettings: swift
        ),
        .executableTarget(
            name: "ensign-gateway",
            dependencies: ["EnsignGatewayCommands", "EnsignSystem"],
            swiftSettings: swift
        ),

        // Tests. The support library is a normal target, so that every test target can use it.
        .target(
            name: "EnsignTestSupport",
            dependencies: ["EnsignModel", "EnsignGit", "EnsignManifest", "EnsignTargets"],
            swiftSettings: swift
        ),
        test("EnsignModel", ["EnsignCrypto"]),
        test("EnsignYAML", ["EnsignModel"]),
        test("EnsignGit", ["EnsignModel"]),
        test("EnsignSystem"),
        test("EnsignCrypto"),
        test("EnsignJSON", ["EnsignModel"], exclude: ["Peer"]),
        test(
            "EnsignManifest",
            ["EnsignModel", "EnsignCrypto", "EnsignJSON", "EnsignYAML", "EnsignPlanner"],
            exclude: ["Golden"]
        ),
        test("EnsignPolicy", ["EnsignModel", "EnsignCrypto"]),
        test("EnsignJudge", ["EnsignModel", "EnsignJSON"]),
        test(
            "EnsignPlanner",
            ["EnsignModel", "EnsignJSON", "EnsignManifest", "EnsignJudge", "EnsignPolicy"],
            exclude: ["Scenarios"]
        ),
        test("EnsignLedger", ["EnsignModel", "EnsignGit", "EnsignCrypto", "EnsignSystem"]),
        test("EnsignTargets", ["EnsignModel", "EnsignSystem"]),
        test("EnsignTelemetry", ["EnsignModel", "EnsignJSON", "EnsignSystem"], exclude: ["Golden", "Exporter"]),
        test("EnsignHost", ["EnsignModel", "EnsignGit", "EnsignCrypto", "EnsignLedger", "EnsignSystem"]),
        test("EnsignSupervisor"),
        test("EnsignMCP", ["EnsignModel", "EnsignSystem"], exclude: ["Servers"]),
        test("EnsignImport", ["EnsignModel", "EnsignJSON", "EnsignManifest", "EnsignMCP", "EnsignPolicy"]),
        test(
            "EnsignGateway",
            [
                "EnsignModel", "EnsignJSON", "EnsignCrypto", "EnsignSystem", "EnsignPolicy", "EnsignMCP",
                "EnsignManifest",
            ],
            exclude: ["Servers"]
        ),
        test(
            "EnsignReconciler",
            [
                "EnsignCrypto", "EnsignGit", "EnsignHost", "EnsignJSON", "EnsignJudge", "EnsignLedger",
                "EnsignManifest", "EnsignModel",
                "EnsignPlanner", "EnsignPolicy", "EnsignSystem", "EnsignTargets", "EnsignTelemetry",
            ]
        ),
        // Its TestFleet.swift is a link: the host in one process is the reconciler's.
        test(
            "EnsignQueries",
            [
                "EnsignCrypto", "EnsignGit", "EnsignHost", "EnsignJudge", "EnsignLedger", "EnsignManifest",
                "EnsignModel",
                "EnsignPlanner", "EnsignPolicy", "EnsignReconciler", "EnsignSystem", "EnsignTargets",
            ]
        ),
        test("EnsignCommandLine"),
        test(
            "EnsignCommands",
            [
                "EnsignCommandLine", "EnsignModel", "EnsignGit", "EnsignHost", "EnsignJudge", "EnsignLedger",
                "EnsignPlanner",
                "EnsignReconciler", "EnsignQueries", "EnsignTargets", "EnsignPolicy", "EnsignCrypto", "EnsignManifest",
            ]
        ),
        // Drives the built binary against stock git and ssh-keygen.
        .testTarget(
            name: "IntegrationTests",
            dependencies: ["EnsignTestSupport", "ensign", "ensign-gateway"],
            exclude: ["Golden"],
            swiftSettings: swift
        ),
    ] + fuzzed,
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
