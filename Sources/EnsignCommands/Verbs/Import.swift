import EnsignCommandLine
import EnsignModel

extension Verb {
    static let importing = Verb(
        name: "import",
        group: .declare,
        summary: "Write manifests from what is there",
        discussion: """
            Writes a tool's manifest from an MCP server, one that runs or what one has answered, or from a description \
            of an HTTP interface (OpenAPI), and agents from crewAI's or LangGraph's files. What it could not know is \
            printed as a list to decide, and marked in the manifest where it is a guess. Run again, it updates what the \
            source says and keeps what people wrote; a version that the branch has goes on as the next one. With --check \
            nothing is written, and exit status 2 means that something differs. Exit status 3: something could not be \
            declared as it is and was left out.

            Only what the command line names is run: a configuration's servers with --run alone. A server gets no \
            variables but HOME, PATH and the like; --pass-env adds one. Its answers are bounded in time, size and \
            number. No code of an agent is run.
            """,
        arguments: [
            Argument(
                name: "KIND",
                summary: "mcp, openapi, crewai or langgraph",
                kind: .choice(["mcp", "openapi", "crewai", "langgraph"])
            ),
            Argument(
                name: "NAME",
                summary: "The tool to declare; for crewai and langgraph the folder or file to read",
                isRequired: false,
                kind: .tool
            ),
            Argument(
                name: "FILE",
                summary: "For openapi: the description",
                isRequired: false,
                kind: .file,
                with: ["openapi"]
            ),
        ],
        options: [
            Option(
                name: "command",
                summary: "Run this server, without a shell: words and quotes",
                value: "COMMAND",
                use: server
            ),
            Option(name: "url", summary: "Ask the server at this address", value: "URL", use: server),
            Option(
                name: "header",
                summary: "Send a header to it, never written down",
                value: "NAME: VALUE",
                isRepeatable: true,
                use: OptionUse(with: ["mcp"], needs: ["url"])
            ),
            Option(
                name: "from",
                summary: "Read an answer to tools/list from a file, '-' for input",
                value: "FILE",
                kind: .file,
                use: server
            ),
            Option(
                name: "client-config",
                summary: "Take servers from .mcp.json or claude_desktop_config.json",
                value: "FILE",
                kind: .file,
                use: server
            ),
            Option(
                name: "run",
                summary: "Start the servers that --client-config names, or ask them",
                use: OptionUse(with: ["mcp"], needs: ["client-config"])
            ),
            Option(
                name: "pass-env",
                summary: "Let the server have a variable of this environment",
                value: "NAME",
                isRepeatable: true,
                use: OptionUse(with: ["mcp"], needs: ["command", "client-config"])
            ),
            Option(
                name: "timeout",
                summary: "End an import after this many seconds; 60 if left out",
                value: "SECONDS",
                use: OptionUse(with: ["mcp"], needs: ["command", "url", "client-config"])
            ),
            Option(
                name: "only",
                summary: "Take these operations alone: a name, or the beginning of some and '*'",
                value: "NAME",
                isRepeatable: true,
                use: OptionUse(with: ["mcp", "openapi"])
            ),
            Option(name: "team", summary: "Name the team that owns what is new", value: "TEAM", kind: .team),
            Option(
                name: "model",
                summary: "Name the model of agents whose files name none",
                value: "PROVIDER/NAME",
                use: OptionUse(with: ["crewai", "langgraph"])
            ),
            Option(name: "check", summary: "Write nothing; exit 2 if something differs"),
        ],
        formats: [.text, .json],
        examples: [
            Example(
                command: "ensign import mcp git --command 'uvx mcp-server-git' --team it",
                meaning: "fleet/tools/git/<version>.yaml from a server that runs"
            ),
            Example(
                command: "ensign import mcp github --url https://mcp.example.com/ --header 'Authorization: ...'",
                meaning: "a server on the network"
            ),
            Example(command: "ensign import mcp crm --from tools.json --check", meaning: "in CI: has it changed?"),
            Example(command: "ensign import mcp --client-config .mcp.json --run", meaning: "all of its servers"),
            Example(command: "ensign import openapi billing openapi.yaml", meaning: "one operation each"),
            Example(
                command: "ensign import crewai src/crew/config --team research --model openai/gpt-5",
                meaning: "an agent for each of agents.yaml"
            ),
        ]
    ) { invocation in
        switch invocation.argument(0) {
        case "mcp": return try ServerImport(invocation).run()
        case "openapi": return try InterfaceImport(invocation).run()
        default: return try AgentFilesImport(invocation).run()
        }
    }
}

/// What servers are for.
private let server = OptionUse(with: ["mcp"])
