import EnsignTestSupport
import Foundation
import Testing

/// `ensign import mcp --client-config`: files that clients and people have written.
@Suite struct ClientConfigurationTests {
    private let scratch: ScratchDirectory
    private let server = "\(packageRoot)/Tests/EnsignMCPTests/Servers/server.py"

    init() throws {
        scratch = try ScratchDirectory()
        try #require(try run("git", ["init", "-q", "-b", "main"], in: scratch.path).status == 0)
        try #require(try run(Host.ensign, ["new", "team", "support"], in: scratch.path).status == 0)
    }

    private func imported(
        _ configuration: String,
        _ words: [String] = ["--run"],
        _ environment: [String: String] = [:]
    ) throws -> CommandResult {
        try configuration.write(toFile: "\(scratch.path)/mcp.json", atomically: true, encoding: .utf8)
        let arguments = ["import", "mcp", "--client-config", "mcp.json"] + words
        return try run(Host.ensign, arguments, in: scratch.path, environment: environment)
    }

    private func exists(_ tool: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(scratch.path)/fleet/tools/\(tool)")
    }

    private var good: String { #"{"command": "python3", "args": ["\#(server)", "modern"]}"# }

    @Test(
        "An entry that is not a server is said with its place, and the others are imported",
        arguments: [
            ("odd", #"{"args": ["x"]}"#, "neither 'command' nor 'url'"), ("odd", #""npx x""#, "it is not an object"),
            ("odd", #"{"command": ["npx", "x"]}"#, "'command' is not text"),
            ("odd", #"{"command": "a", "args": "x"}"#, "'args' is not a list"),
            ("odd", #"{"command": "a", "args": [{}]}"#, "'args' has something that is not text"),
            ("odd", #"{"command": "a", "env": {"A": []}}"#, "'env' has something that is not text: 'A'"),
            ("odd", #"{"command": "a", "env": {"A=B": "c"}}"#, "'env' has 'A=B', which no variable can be called"),
            ("日本", #"{"command": "a"}"#, "cannot be a tool's name"),
            ("good.one", #"{"command": "a"}"#, "it would be the tool 'good-one', as 'good-one' is"),
        ]
    )
    func odd(name: String, entry: String, why: String) throws {
        let result = try imported(
            "{\"mcpServers\": {\n  \"good-one\": \(good),\n\t\"\(name)\": \(entry),\n  \"last\": \(good)}}"
        )
        #expect(result.status == 1, "\(result.errors)")
        #expect(result.errors.contains("mcp.json:3:"), "\(result.errors)")
        #expect(result.errors.contains(why), "\(result.errors)")
        #expect(exists("good-one") && exists("last"))
        #expect(result.errors.contains("To decide about good-one:") && result.errors.contains("To decide about last:"))
    }

    @Test("A server that is switched off is left alone, which is said; its name takes it")
    func disabled() throws {
        let text = #"{"mcpServers": {"on": \#(good), "off": {"disabled": true, \#(good.dropFirst())}}"#
        let listed = try imported(text, [])
        #expect(listed.status == 64 && listed.output.contains("(disabled)"), "\(listed.output)")
        let result = try imported(text)
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.contains("off: disabled in mcp.json"), "\(result.errors)")
        #expect(exists("on") && !exists("off"))
        #expect(try imported(text, ["off", "--run"]).status == 0)
        #expect(exists("off"))
    }

    @Test("VS Code's file is read with its comments and commas, and what it would ask its user is never sent as empty")
    func commented() throws {
        let text = """
            \u{FEFF}{
              // What people type "in", once: {
              "inputs": [{"type": "promptString", "id": "token", "password": true,},],
              "servers": {
                /* a server, with "quotes" // and all */
                "asks": {"type": "stdio", "command": "python3", "args": ["\(server)", "modern"],
                  "env": {"TOKEN": "${input:token}"}},
                "url//one": {"command": "python3", "args": ["\(server)", "modern",],},
              },
            }
            """
        let result = try imported(text)
        #expect(result.status == 1, "\(result.errors)")
        #expect(
            result.errors.contains("asks: it cannot be started or asked without ${input:token}"),
            "\(result.errors)"
        )
        #expect(exists("url-one") && !exists("asks"))
    }

    @Test("A variable that is not set is an error that names it, and one that is gets there")
    func variables() throws {
        let script =
            "import os, runpy, sys; assert os.environ['A'] == 'one' and os.environ['B'] == 'two' "
            + "and os.environ['C'] == 'three'; sys.argv = ['server', 'modern']; runpy.run_path('\(server)')"
        let text =
            #"{"mcpServers": {"t": {"command": "python3", "args": ["-c", "\#(script)"], "#
            + #""env": {"A": "${FIRST}", "B": "${env:SECOND}", "C": "${THIRD:-three}"}}}}"#
        let missing = try imported(text, ["--run"], ["FIRST": "one"])
        #expect(missing.status == 1)
        #expect(missing.errors.contains("${env:SECOND}: the variable SECOND is not set here"), "\(missing.errors)")
        #expect(!missing.errors.contains("THIRD") && !exists("t"))
        let result = try imported(text, ["--run"], ["FIRST": "one", "SECOND": "two"])
        #expect(result.status == 0, "\(result.errors)")
    }

    @Test(
        "Servers stand under the key that each client has for them, or under none",
        arguments: [
            #"{"mcpServers": SERVERS}"#, #"{"servers": SERVERS}"#, #"{"mcp": {"servers": SERVERS}}"#, "SERVERS",
        ]
    )
    func keys(text: String) throws {
        // As LangChain's adapters take them.
        let servers = #"{"t": {"command": "python3", "args": ["\#(server)", "modern"], "transport": "stdio"}}"#
        let result = try imported(text.replacing("SERVERS", with: servers))
        #expect(result.status == 0 && exists("t"), "\(result.errors)")
        #expect(try imported("{}").status == 3 && imported("[1]").status == 3)
    }

    @Test("A path that only this machine has is said")
    func ownPath() throws {
        try FileManager.default.copyItem(atPath: server, toPath: "\(scratch.path)/here.py")
        for path in ["./here.py", "here.py"] {
            let result = try imported(
                #"{"t-\#(path.utf8.count)": {"command": "python3", "args": ["\#(path)", "modern"]}}"#
            )
            #expect(result.status == 0, "\(result.errors)")
            #expect(result.errors.contains("a path of this machine or folder, '\(path)'"), "\(result.errors)")
        }
    }

    @Test("A folder that is not there is said to be missing, not the program")
    func folder() throws {
        let result = try imported(#"{"mcpServers": {"t": {"command": "python3", "cwd": "/does/not/exist"}}}"#)
        #expect(result.status == 1)
        #expect(result.errors.contains("there is no folder '/does/not/exist' to start it in (cwd)"), "\(result.errors)")
    }

    @Test("What a manifest cannot say of how a server is reached is left out, with the true reason")
    func unsayable() throws {
        let result = try imported(
            #"{"mcpServers": {"t": {"command": "python3", "args": ["\#(server)", "modern"], "env": {"A-B": "x"}}}}"#
        )
        #expect(result.status == 3, "\(result.errors)")
        #expect(result.errors.contains("[left-out] server: how it is reached is left out"), "\(result.errors)")
        #expect(result.errors.contains("'A-B'"), "\(result.errors)")
        #expect(try run(Host.ensign, ["validate"], in: scratch.path).status == 0)
    }
}
