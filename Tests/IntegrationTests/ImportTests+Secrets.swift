import EnsignTestSupport
import Foundation
import Testing

/// What is asked with secrets, and where none of them may turn up.
extension ImportTests {
    @Test("A configuration's servers run only when the command line says so, and their secrets are never written")
    func configuration() throws {
        let script =
            "import os, runpy, sys; assert len(os.environ['KEY']) == 12 and 'OTHER' not in os.environ; "
            + "sys.argv = ['server', 'legacy']; runpy.run_path('\(packageRoot)/Tests/EnsignMCPTests/Servers/server.py')"
        try write(
            """
            {"mcpServers": {"My Tracker": {"command": "python3", "args": ["-c", "\(script)"], "env": {"KEY": "${SECRET}"}},
             "touch": {"command": "touch", "args": ["\(scratch.path)/ran"]}}}
            """,
            ".mcp.json"
        )
        let listed = try ensign(["import", "mcp", "--client-config", ".mcp.json"])
        #expect(listed.status == 64 && listed.output.contains("my-tracker: python3"))
        #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/ran"))
        let result = try ensign(
            ["import", "mcp", "my-tracker", "--client-config", ".mcp.json", "--run"],
            ["SECRET": "s3cret-value", "OTHER": "x"]
        )
        #expect(result.status == 0, "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/ran"))
        #expect(result.errors.contains("[guess] KEY"))
        let manifest = try text("fleet/tools/my-tracker/1.4.0.yaml")
        #expect(manifest.contains("ref: env:SECRET"))
        #expect(!(manifest + result.output + result.errors).contains("s3cret-value"))
        #expect(try ensign(["validate"]).status == 0)
    }

    @Test(
        "What looks like a secret in how a server is started or reached is never written",
        arguments: [
            #"{"command": "python3", "args": ["-c", "SCRIPT", "--token", "s3cret-value"]}"#,
            #"{"command": "python3", "args": ["-c", "SCRIPT", "--api-key=s3cret-value"]}"#,
            #"{"command": "python3", "args": ["-c", "SCRIPT"], "env": {"KEY": "{s3cret}", "OTHER": "$s3cret{x}"}}"#,
            #"{"command": "python3", "args": ["-c", "SCRIPT"], "env": {"KEY": "{s3cretvalue}"}}"#,
        ]
    )
    func literal(server: String) throws {
        let script =
            "import runpy, sys; sys.argv = ['server', 'modern']; "
            + "runpy.run_path('\(packageRoot)/Tests/EnsignMCPTests/Servers/server.py')"
        try write(#"{"mcpServers": {"t": \#(server.replacing("SCRIPT", with: script))}}"#, ".mcp.json")
        let result = try ensign(["import", "mcp", "t", "--client-config", ".mcp.json", "--run"])
        let manifest = try text("fleet/tools/t/2.1.1.yaml")
        #expect(!(manifest + result.output + result.errors).contains("s3cret"), "\(manifest)\(result.errors)")
        let isLeftOut = server.contains("--")
        #expect(result.status == (isLeftOut ? 3 : 0) && result.errors.contains("[left-out] server") == isLeftOut)
        #expect(manifest.contains("server:") != isLeftOut && manifest.contains("search_issues:"))
        try commit()
        #expect(try ensign(["validate"]).status == 0)
    }

    @Test("What is asked of this machine in the clear goes through no proxy")
    func proxy() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "\(packageRoot)/Tests/EnsignMCPTests/Servers/http_server.py", "modern"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        defer {
            try? input.fileHandleForWriting.close()
            process.waitUntilExit()
        }
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        let port = line.trimmingCharacters(in: .whitespacesAndNewlines)
        // Nothing listens there: whoever asked it would fail.
        let proxy = "http://127.0.0.1:1"
        let result = try ensign(
            [
                "import", "mcp", "web", "--url", "http://127.0.0.1:\(port)/mcp", "--header",
                "Authorization: Bearer t0ken",
            ],
            ["http_proxy": proxy, "HTTP_PROXY": proxy, "all_proxy": proxy, "ALL_PROXY": proxy, "no_proxy": ""]
        )
        #expect(result.status == 0, "\(port) \(result.errors)")
    }

    @Test("What is asked of another machine goes through the environment's proxy, and who it lets in is not shown")
    func foreignProxy() throws {
        let proxy = """
            import socket
            listening = socket.create_server(("127.0.0.1", 0))
            print(listening.getsockname()[1], flush=True)
            asked = listening.accept()[0]
            asked.settimeout(30)
            print(asked.recv(4096).split(b"\\r\\n")[0].decode(), flush=True)
            asked.sendall(b"HTTP/1.1 502 Bad Gateway\\r\\nContent-Length: 0\\r\\n\\r\\n")
            asked.close()
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", proxy]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        defer {
            process.terminate()
            process.waitUntilExit()
        }
        func line() -> String {
            String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let address = "http://user:pr0xysecret@127.0.0.1:\(line())"
        let result = try ensign(
            [
                "import", "mcp", "web", "--url", "https://mcp.invalid/mcp", "--header",
                "Authorization: Bearer t0kent0ken",
            ],
            ["https_proxy": address, "HTTPS_PROXY": address, "no_proxy": ""]
        )
        #expect(line() == "CONNECT mcp.invalid:443 HTTP/1.1")
        #expect(result.status == 1, "\(result.errors)")
        #expect(!(result.output + result.errors).contains("pr0xysecret"), "\(result.errors)")
    }

    @Test("What a server says again of the secrets that it was given is neither written nor shown")
    func echoed() throws {
        let server = """
            import json, os, sys
            given = [os.environ.get("DB_PASSWORD", ""), *sys.argv[2:]]
            print("connecting with", *given, file=sys.stderr, flush=True)
            for line in sys.stdin:
                request = json.loads(line)
                if "end" in given: sys.exit("cannot connect with " + " ".join(given))
                if request["method"] == "server/discover":
                    result = {"supportedVersions": ["2026-07-28"], "serverInfo": {"name": "of " + given[0], "version": "1.0.0"}}
                else:
                    tools = [{"name": "plain", "inputSchema": {}}, {"name": "told", "description": "By " + given[0]}]
                    tools += [{"name": "schema", "inputSchema": {"properties": {"a": {"default": given[-1]}}}}]
                    result = {"tools": tools}
                print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
            """
        try write(server, "server.py")
        for end in ["", ", \"end\""] {
            try write(
                #"{"mcpServers": {"t": {"command": "python3", "args": ["server.py", "--token", "0ther-s3cret"\#(end)], "#
                    + #""env": {"DB_PASSWORD": "s3cret value"}}}}"#,
                ".mcp.json"
            )
            let listed = try ensign(["import", "mcp", "t", "--client-config", ".mcp.json"])
            #expect(listed.output.contains("python3 server.py --token ***"), "\(listed.output)")
            let result = try ensign(["import", "mcp", "t", "--client-config", ".mcp.json", "--run"])
            let manifest = end.isEmpty ? try text("fleet/tools/t/1.0.0.yaml") : ""
            let said = manifest + result.output + result.errors + listed.errors
            #expect(!said.contains("s3cret"), "\(said)")
            #expect(result.status == (end.isEmpty ? 3 : 1), "\(said)")
            #expect(end.isEmpty == manifest.contains("plain:"), "\(said)")
        }
    }

    @Test("No message repeats a secret, wherever a source has it", arguments: ["text", "json"])
    func unsaid(_ format: String) throws {
        let token = "ghp_" + String(repeating: "a1B2", count: 9)
        func shown(_ words: [String]) throws -> String {
            let result = try ensign(["import"] + words + ["--output", format])
            return result.output + result.errors
        }
        try write(
            "openapi: 3.1.0\ninfo: {title: T, version: '1'}\nservers: [{url: 'https://ada:hunter2@host/v1'}]\npaths: {/a: {get: {}}}\n",
            "api.yaml"
        )
        let api = try shown(["openapi", "api", "api.yaml"])
        #expect(!api.contains("hunter2") && api.contains("MCP servers only"), "\(api)")
        func tools(_ description: String, _ more: String = "") throws {
            try write(#"[{"name": "a", "description": "\#(description)", "inputSchema": {}}\#(more)]"#, "tools.json")
        }
        try tools("x", #", {"name": "\#(token)", "inputSchema": {}}"#)
        let named = try shown(["mcp", "t", "--from", "tools.json"])
        #expect(!named.contains(token) && named.contains("***"), "\(named)")
        // What a person has put into the manifest, and the server has no longer.
        let path = "fleet/tools/t/0.1.0.yaml"
        try write(try text(path).replacing("description: x", with: "description: use \(token)"), path)
        try tools("y")
        let was = try shown(["mcp", "t", "--from", "tools.json"])
        #expect(!was.contains(token) && was.contains("use ***"), "\(was)")
        let ended = try shown(["mcp", "u", "--command", "sh -c \"echo cannot use token=hunter2 of \(token) >&2\""])
        #expect(!ended.contains(token) && !ended.contains("hunter2"), "\(ended)")
    }
}
