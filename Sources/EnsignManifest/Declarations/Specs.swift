import EnsignModel

extension ManifestKind {
    /// A count that a program can still work with.
    private static let count: ClosedRange<Int64> = 1...1_000_000_000
    /// US dollars.
    private static let dollars: ClosedRange<Double> = 0...1_000_000_000

    static let agentSpec: [Field] = [
        Field("description", "What the agent is for, in a sentence.", .text(.prose), required: true),
        Field(
            "model",
            "The language model it calls.",
            .record(
                model + [
                    Field(
                        "fallbacks",
                        "The models that take over when this one cannot answer, in their order.",
                        .list(.record(model), count: 1...10)
                    )
                ]
            )
        ),
        Field("instructions", "A file beside this one; its text goes into the bundle.", .text(.fileName)),
        Field(
            "prompts",
            "Further files beside this one, by the name under which the runtime finds their text.",
            .map(keys: .promptName, values: .text(.fileName), count: 1...100)
        ),
        Field(
            "name",
            "What a framework that cannot bear `<team>/<agent>` calls the agent.",
            .text(.alias)
        ),
        Field("triggers", "What starts a run, as data for the runtime; a deployment may replace it.", triggers),
        Field(
            "contract",
            "JSON Schemas of what goes in and what comes out.",
            .record([
                Field("input", "What a session is started with.", .schema),
                Field("output", "What a run must produce.", .schema),
            ])
        ),
        Field(
            "needs",
            "What it asks for; a deployment may grant less, never silently more.",
            .record([
                Field("tools", "Tools and operations.", .list(.record(toolNeed), count: 0...100)),
                Field(
                    "agents",
                    "Agents that it hands work to; deployed in the same environment, no cycles.",
                    .list(.text(.agent), count: 0...100)
                ),
            ])
        ),
        Field(
            "limits",
            "What each run may use.",
            .record([
                Field("steps", "Tool calls in a run.", .integer(count)),
                Field("tokens", "Tokens in a run.", .integer(count)),
                Field("costUSD", "US dollars in a run.", .number(dollars)),
                Field("seconds", "Seconds that a run may take.", .integer(count)),
                Field("runs", "Runs at a time; a deployment may ask for fewer.", .integer(count)),
            ])
        ),
        Field("runtime", "Passed to the runtime untouched.", .object),
    ]

    private static let model: [Field] = [
        Field("provider", "Who runs the model.", .text(.line), required: true),
        Field("name", "The model's name at the provider.", .text(.line), required: true),
        Field("parameters", "Handed to the provider untouched.", .object),
    ]

    private static let triggers: Shape = .list(
        .form([
            [
                Field("cron", "Minute, hour, day of the month, month, day of the week.", .text(.cron), required: true),
                Field("timezone", "A name of the time zone database.", .text(.timezone), standard: "UTC"),
                Field("input", "What the run is started with.", .object),
            ],
            [
                Field("webhook", "The path that is called.", .text(.webhook), required: true),
                Field("credentials", "Who may call it.", .record(credentials)),
            ],
            [
                Field("queue", "The queue whose messages start runs.", .text(.line), required: true),
                Field("credentials", "What reading it needs.", .record(credentials)),
            ],
        ]),
        count: 0...50
    )

    /// One element of a list of operations.
    private static let selector: Shape = .textOr(
        .operationOrAll,
        [
            Field("access", "All operations with this access.", .text(.oneOf(Access.self))),
            Field("risk", "All operations with this risk.", .text(.oneOf(Risk.self))),
        ]
    )

    private static let toolNeed: [Field] = [
        Field("tool", "The tool's name.", .text(.name), required: true),
        Field("version", "The tool's released version.", .text(.release), required: true),
        Field(
            "operations",
            "The operations it calls: names, `\"*\"` for all, `{access: read}` or `{risk: low}` for all of a kind.",
            .list(selector, count: 1...500),
            required: true
        ),
        Field("except", "Operations to leave out again, written alike.", .list(selector, count: 1...500)),
    ]

    static let server: Shape = .choice([
        Field(
            "mcp",
            "A Model Context Protocol server; started or called by the agent's runtime, never by Ensign.",
            .form([
                [
                    Field(
                        "command",
                        "The program and its arguments.",
                        .list(.text(.prose), count: 1...100),
                        required: true
                    ),
                    Field(
                        "env",
                        "Its environment: text, or `{ref: <scheme>:<path>}` for what is secret.",
                        .map(keys: .variable, values: .textOr(.prose, credentials), count: 0...100)
                    ),
                    Field("cwd", "The folder it is started in.", .text(.line)),
                    Field("transport", "How it is spoken to.", .text(.oneOf(["stdio"])), standard: "stdio"),
                ],
                [
                    Field(
                        "url",
                        "Where the server listens; who may call it is in `credentials`.",
                        .text(.url),
                        required: true
                    ),
                    Field(
                        "headers",
                        "Sent with each request: text, or `{ref: <scheme>:<path>}` for what is secret.",
                        .map(keys: .header, values: .textOr(.prose, credentials), count: 0...100)
                    ),
                    Field(
                        "transport",
                        "How it is spoken to: `http` is streamable HTTP, `sse` its predecessor.",
                        .text(.oneOf(["http", "sse"])),
                        standard: "http"
                    ),
                ],
            ])
        )
    ])

    static let credentials: [Field] = [
        Field(
            "ref",
            "Where they are kept, `<scheme>:<path>`; a literal secret is refused.",
            .text(.credentials),
            required: true
        )
    ]

    private static let serverSide: [Field] = [
        Field("tool", "The name of the server's tool, where it is another one.", .text(.line), required: true)
    ]

    private static let pin = Field(
        "pin",
        "The digest of the server's definition; while what it offers differs, the gateway refuses calls.",
        .text(.digest)
    )

    static let bindingSpec: [Field] = [
        Field("server", "Replaces the tool's server here.", server),
        Field("credentials", "Replaces the tool's credentials here.", .record(credentials)),
        Field(
            "operations",
            "Replaces pins of the tool's operations here.",
            .map(keys: .operation, values: .record([pin]), count: 1...500)
        ),
    ]

    static let teamSpec: [Field] = [
        Field(
            "members",
            "The people in the team, as `allowed_signers` names those who sign.",
            .list(.text(.line), count: 0...500),
            required: true
        ),
        Field("escalation", "Whom to call when an agent of the team misbehaves.", .text(.line)),
        Field(
            "limits",
            "Limits of all its agents together, in each environment.",
            .record([Field("costUSDPerDay", "US dollars a day.", .number(dollars))])
        ),
    ]

    static let toolSpec: [Field] = [
        Field("owner", "The team that answers for the tool.", .text(.name), required: true),
        Field("description", "What the tool is.", .text(.manual)),
        Field("server", "How the runtime reaches it; a Binding may replace it.", server),
        Field(
            "operations",
            "What the tool can do, by name: as its server calls it, or with `mcp.tool`.",
            .map(
                keys: .operation,
                values: .record([
                    Field("description", "What the operation does.", .text(.manual)),
                    Field("access", "What it does to the world.", .text(.oneOf(Access.self)), required: true),
                    Field("risk", "How bad a wrong call can be.", .text(.oneOf(Risk.self)), required: true),
                    Field("idempotent", "Whether repeating a call changes nothing more.", .boolean, standard: "false"),
                    Field(
                        "timeout",
                        "How long a call may take; a gateway waits 30s where nothing is said.",
                        .text(.duration)
                    ),
                    Field("input", "JSON Schema of the arguments.", .argumentSchema),
                    Field("output", "JSON Schema of the result.", .schema),
                    Field("mcp", "What the operation is on its MCP server.", .record(serverSide)),
                    pin,
                ]),
                count: 1...500
            ),
            required: true
        ),
        Field("credentials", "What the server needs; a Binding may replace it.", .record(credentials)),
        Field(
            "store",
            "What it keeps, where the tool is a store of skills, memory or knowledge.",
            .record([
                Field("kind", "What is kept.", .text(.oneOf(Store.Kind.self)), required: true),
                Field("scope", "Who sees what an agent keeps there.", .text(.oneOf(Store.Scope.self)), required: true),
                Field("retention", "How long what is written stays; absent: for ever.", .text(.duration)),
                Field("digest", "The content of a store that does not change, `sha256:<64 hex>`.", .text(.digest)),
            ])
        ),
    ]

    static let grant: Shape = .record([
        Field("tool", "The tool's name.", .text(.name), required: true),
        Field(
            "operations",
            "The operations that are allowed: names, `\"*\"` for all, `{access: read}` or `{risk: low}` for all of a kind.",
            .list(selector, count: 1...500),
            required: true
        ),
        Field("except", "Operations to leave out again, written alike.", .list(selector, count: 1...500)),
        Field(
            "approval",
            "Who must agree to each call.",
            .text(.oneOf(Approval.self)),
            standard: "none"
        ),
        Field("arguments", "A JSON Schema that narrows the operation's own input schema.", .schema),
        Field("expires", "The last day on which the grant holds.", .text(.date)),
        Field(
            "approvers",
            "Who may agree: teams, and people as `allowed_signers` names them. Absent: the agent's team and the tool's owner.",
            .list(.text(.approver), count: 1...50)
        ),
        Field("rate", "How often each operation may be called, by each agent.", .text(.rate)),
        Field("after", "A call that must have succeeded before, in the same run.", .record(after)),
        Field(
            "record",
            "Values of the arguments that the log of calls keeps in clear, as JSON Pointers.",
            .oneOrMore(.pointer, count: 1...20)
        ),
    ])

    private static let after: [Field] = [
        Field("operation", "The other operation, `<tool>.<operation>`.", .text(.toolOperation), required: true),
        Field("within", "How long ago it may be.", .text(.duration), required: true),
        Field("same", "An argument that must have the same value in both calls.", .text(.line)),
    ]

    static let deploymentSpec: [Field] = [
        Field("version", "The released version that runs, or `next`.", .text(.agentVersion), required: true),
        Field("autonomy", "How far the agent may act alone.", .text(.oneOf(Autonomy.self)), standard: "full"),
        Field("roles", "Sets of grants.", .list(.text(.name), count: 0...100)),
        Field("grants", "What else it may do; everything not granted is denied.", .list(grant, count: 0...200)),
        Field(
            "limits",
            "Limits in this environment.",
            .record([
                Field("costUSDPerDay", "US dollars a day.", .number(dollars)),
                Field(
                    "runs",
                    "Runs at a time; of this and the agent's own limit the lower one counts.",
                    .integer(count)
                ),
            ])
        ),
        Field(
            "mode",
            "What the gateway does with a call that it would refuse; `observe`: it forwards and logs it.",
            .text(.oneOf(EnforcementMode.self)),
            standard: "enforce"
        ),
        Field("halted", "Stops the agent: no session gets a route.", .boolean, standard: "false"),
        Field("rollout", "How a change takes over; absent: the environment's default.", rollout),
        Field("killSwitch", "Rules that halt the agent.", .list(killRule, count: 0...20)),
        Field("triggers", "What starts a run here, in place of the agent's own triggers.", triggers),
    ]

    static let environmentSpec: [Field] = [
        Field("trustDomain", "The trust domain of agent identities.", .text(.trustDomain), standard: "fleet.local"),
        Field("promotesFrom", "Where `promote` takes versions from.", .text(.name)),
        Field(
            "soak",
            "How long a version must have been stable there first; `0s`: at all. Absent: nothing is asked.",
            .text(.duration)
        ),
        Field("mutableVersions", "Whether deployments may name `version: next`.", .boolean, standard: "false"),
        Field("prune", "Whether what is no longer declared is removed.", .boolean, standard: "true"),
        Field(
            "maxPruneShare",
            "Removing everything, or more than max(1, share x live) agents at once, is refused without --allow-prune.",
            .number(0...1),
            standard: "0.3"
        ),
        Field("keepFor", "How long bundles stay after their last route.", .text(.duration), standard: "7d"),
        Field(
            "limits",
            "Limits of the whole environment.",
            .record([
                Field("costUSDPerDay", "US dollars a day.", .number(dollars)),
                Field("concurrentRollouts", "Canaries at the same time.", .integer(1...10_000)),
            ])
        ),
        Field("rollout", "How a change takes over unless a deployment says otherwise.", rollout),
        Field("killSwitch", "Rules that halt any agent.", .list(killRule, count: 0...20)),
    ]

    private static let window = Field("within", "The window.", .text(.duration), required: true)

    private static let calls: ClosedRange<Int64> = 1...KillRule.mostCalls

    private static let killRule: Shape = .form([
        [Field("spend", "US dollars within the window.", .number(dollars), required: true), window],
        [
            Field(
                "repeatedCall",
                "The same tool with the same arguments, within the window.",
                .integer(calls),
                required: true
            ), window,
        ],
        [Field("deniedCalls", "Denied calls within the window.", .integer(calls), required: true), window],
        [Field("steps", "Tool calls in one run.", .integer(count), required: true)],
        [Field("unknownTool", "Calls of a tool that was not granted.", .integer(calls), required: true)],
    ])

    static let price: [Field] = [
        Field("input", "Input tokens.", .number(dollars), required: true),
        Field("output", "Output tokens.", .number(dollars), required: true),
        Field("cacheRead", "Input tokens read from the cache.", .number(dollars)),
        Field("cacheWrite", "Input tokens written to the cache.", .number(dollars)),
    ]
}
