import EnsignTestSupport
import Foundation
import Testing

/// `ensign import`, against servers that run.
@Suite struct ImportTests {
    private let scratch: ScratchDirectory
    private let server = "python3 \(packageRoot)/Tests/EnsignMCPTests/Servers/server.py"

    init() throws {
        scratch = try ScratchDirectory()
        try #require(try run("git", ["init", "-q", "-b", "main"], in: scratch.path).status == 0)
        try #require(try ensign(["new", "team", "support"]).status == 0)
    }

    private func ensign(_ words: [String], _ environment: [String: String] = [:]) throws -> CommandResult {
        try run(Host.ensign, words, in: scratch.path, environment: environment)
    }

    private func text(_ path: String) throws -> String {
        try String(contentsOfFile: "\(scratch.path)/\(path)", encoding: .utf8)
    }

    private func write(_ text: String, _ path: String) throws {
        try text.write(toFile: "\(scratch.path)/\(path)", atomically: true, encoding: .utf8)
    }

    private func commit() throws {
        for arguments in [["add", "-A"], ["commit", "-q", "-m", "x"]] {
            #expect(try run("git", arguments, in: scratch.path).status == 0)
        }
    }

    @Test("A server becomes a manifest that validates; again changes nothing; a frozen version goes on as the next")
    func running() throws {
        let command = ["import", "mcp", "tracker", "--command", "\(server) modern"]
        let first = try ensign(command)
        #expect(first.status == 0, "\(first.errors)")
        #expect(first.output.hasPrefix("fleet/tools/tracker/2.1.1.yaml: created\n  2 operations\n"))
        #expect(first.errors.contains("[guess] version: the source says 'v2.1.1'; it is 2.1.1"))
        #expect(try ensign(["validate"]).status == 0)
        #expect(try ensign(command + ["--check"]).status == 0)
        // What people decide stays, and the branch's version is frozen.
        let path = "fleet/tools/tracker/2.1.1.yaml"
        try write(
            try text(path).replacingOccurrences(of: "access: read", with: "access: write  # it writes a log"),
            path
        )
        try commit()
        let pages = ["import", "mcp", "tracker", "--command", "\(server) pages"]
        let check = try ensign(pages + ["--check", "--output", "json"])
        #expect(check.status == 2, "\(check.errors)")
        #expect(check.output.contains(#""state": "would-update""#))
        #expect(try ensign(["validate"]).status == 0)
        let second = try ensign(pages)
        #expect(second.status == 0, "\(second.errors)")
        #expect(second.output.contains("fleet/tools/tracker/2.2.0.yaml: updated"))
        #expect(second.output.contains("+ tool_0") && second.output.contains("- search_issues"))
        let back = try ensign(command)
        #expect(back.status == 0 && back.output.contains("2.2.0.yaml: updated"))
        #expect(try ensign(["validate"]).status == 0)
        #expect(try text(path).contains("# it writes a log"))
    }

    @Test("A server that cannot be asked is a failure with its own words made safe, and writes nothing")
    func failing() throws {
        for behaviour in ["die", "circle", "garbage", "nameless"] {
            let result = try ensign(["import", "mcp", "tracker", "--command", "\(server) \(behaviour)"])
            #expect(result.status == 1, "\(behaviour): \(result.output)")
            #expect(!result.errors.contains("\u{1b}[2J"))
            #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/fleet/tools"))
        }
        let hang = try ensign(["import", "mcp", "tracker", "--timeout", "2", "--command", "\(server) hang"])
        #expect(hang.status == 1 && hang.errors.contains("within 2 seconds"))
    }

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

    @Test("A released version is never edited, whatever is checked out", arguments: [true, false])
    func released(hasBranch: Bool) throws {
        try write(#"{"tools": [{"name": "a", "inputSchema": {}}]}"#, "tools.json")
        #expect(try ensign(["import", "mcp", "t", "--from", "tools.json"]).status == 0)
        try commit()
        #expect(try run("git", ["checkout", "-q", "--detach"], in: scratch.path).status == 0)
        if !hasBranch { #expect(try run("git", ["branch", "-q", "-D", "main"], in: scratch.path).status == 0) }
        try write(#"{"tools": [{"name": "b", "inputSchema": {}}]}"#, "tools.json")
        let result = try ensign(["import", "mcp", "t", "--from", "tools.json"])
        #expect(result.output.contains("fleet/tools/t/0.2.0.yaml: updated"), "\(result.output)\(result.errors)")
        #expect(
            try run("git", ["status", "--porcelain", "fleet"], in: scratch.path).output
                == "?? fleet/tools/t/0.2.0.yaml\n"
        )
    }

    @Test("A server ends with the program, whatever ends that", arguments: [SIGTERM, SIGINT, SIGKILL])
    func ended(number: Int32) throws {
        let file = "\(scratch.path)/child"
        let script = "setsid sh -c 'echo $$ > \(file); exec sleep 300' & cat > /dev/null; sleep 300"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Host.ensign)
        process.arguments = ["import", "mcp", "t", "--command", "sh -c \"\(script)\""]
        process.currentDirectoryURL = URL(fileURLWithPath: scratch.path)
        process.standardError = FileHandle.nullDevice
        try process.runUnmasked()
        var child: pid_t?
        for _ in 0..<500 where child == nil {
            child = (try? String(contentsOfFile: file, encoding: .utf8)).flatMap { pid_t($0.dropLast()) }
            usleep(20_000)
        }
        kill(process.processIdentifier, number)
        process.waitUntilExit()
        let started = try #require(child)
        var isGone = false
        for _ in 0..<300 where !isGone {
            let stat = (try? String(contentsOfFile: "/proc/\(started)/stat", encoding: .utf8)) ?? ""
            isGone = stat.isEmpty || stat.contains(") Z ")
            usleep(20_000)
        }
        #expect(isGone)
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

    @Test("One page of several is not a list of all tools: nothing is written, and nothing taken away")
    func page() throws {
        let tool = #"{"name":"a","description":"A","inputSchema":{"type":"object"}}"#
        let other = #"{"name":"b","description":"B","inputSchema":{"type":"object"}}"#
        try write("[\(tool),\(other)]", "all.json")
        try write(#"{"result":{"tools":[\#(tool)],"nextCursor":"2"}}"#, "page.json")
        #expect(try ensign(["import", "mcp", "t", "--from", "all.json"]).status == 0)
        let result = try ensign(["import", "mcp", "t", "--from", "page.json"])
        #expect(result.status == 3 && result.errors.contains("nextCursor"), "\(result)")
        #expect(try text("fleet/tools/t/0.1.0.yaml").contains("    b:"))
    }

    @Test("What is wrong in a file is said with the file, the line and the column, and what cannot be read is status 1")
    func placed() throws {
        let schema = #"{"type": "objekt"}"#
        try write("openapi: 3.1.0\ninfo: {title: T}\npaths:\n  /a:\n    get: {parameters: [5]}\n", "api.yaml")
        try write(
            "[\n  {\"name\": \"good\", \"inputSchema\": {}},\n  {\"name\": \"bad\", \"inputSchema\": \(schema)}]",
            "t.json"
        )
        try write("openapi: 3.1.0\n  paths: x", "broken.yaml")
        try write("{\"openapi\": \"3.1.0\",\n \"paths\": }", "broken.json")
        for (words, status, place) in [
            (["openapi", "a", "api.yaml"], 3, "api.yaml:5:5: get_a: "),
            (["mcp", "t", "--from", "t.json"], 3, "t.json:3:4: bad: "),
            (["openapi", "a", "broken.yaml"], 3, "broken.yaml:2:"),
            (["openapi", "a", "broken.json"], 3, "broken.json:2:"),
            (["mcp", "t", "--from", "broken.json"], 3, "broken.json:2:"),
            (["openapi", "a", "none.yaml"], 1, "none.yaml"),
            (["mcp", "t", "--from", "none.json"], 1, "none.json"),
            (["crewai", "none"], 1, "none: there is no agents.yaml"),
            (["langgraph", "."], 1, "there is no langgraph.json"),
        ] as [([String], Int32, String)] {
            let result = try ensign(["import"] + words)
            #expect(result.status == status, "\(words): \(result.errors)")
            #expect(result.errors.contains(place), "\(words): \(result.errors)")
        }
        // One file of two is no reason to pass it over.
        try write("a: {role: R}\n", "agents.yaml")
        try write("t: {agent: a\n", "tasks.yaml")
        let crew = try ensign(["import", "crewai", ".", "--model", "a/b"])
        #expect(crew.status == 3 && crew.errors.contains("tasks.yaml:"), "\(crew.errors)")
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

    @Test("More operations than a tool has are taken in parts, and the refusal says how")
    func parts() throws {
        let tools = (0..<600).map { #"{"name": "\#($0 % 2 == 0 ? "even" : "odd")_\#($0)", "inputSchema": {}}"# }
        try write("[\(tools.joined(separator: ","))]", "tools.json")
        let all = try ensign(["import", "mcp", "t", "--from", "tools.json"])
        #expect(all.status == 3 && all.errors.contains("--only"), "\(all.errors)")
        let even = ["import", "mcp", "even", "--from", "tools.json", "--only", "even_*", "--only", "odd_1"]
        #expect(try ensign(even).output.contains("301 operations"))
        #expect(try ensign(even + ["--check"]).status == 0)
        let odd = try ensign(["import", "mcp", "odd", "--from", "tools.json", "--only", "od_*"])
        #expect(odd.status == 1 && odd.errors.contains("the source has no operation 'od_*'"), "\(odd.errors)")
    }

    @Test("The number of a released version is taken, also where the version was deleted here")
    func deleted() throws {
        func imported(_ tool: String, _ version: String) throws -> CommandResult {
            try write(
                #"{"serverInfo": {"version": "\#(version)"}, "tools": [{"name": "\#(tool)", "inputSchema": {}}]}"#,
                "tools.json"
            )
            return try ensign(["import", "mcp", "t", "--from", "tools.json"])
        }
        for (tool, version) in [("a", "1.0.0"), ("b", "1.1.0")] {
            #expect(try imported(tool, version).status == 0)
            try commit()
        }
        // The newest one, then all of them.
        for file in ["1.1.0", "1.0.0"] {
            try FileManager.default.removeItem(atPath: "\(scratch.path)/fleet/tools/t/\(file).yaml")
            let result = try imported("c", "1.0.0")
            #expect(result.output.contains("fleet/tools/t/1.2.0.yaml: "), "\(result.output)\(result.errors)")
            #expect(result.errors.contains("1.1.0 is released and not here"), "\(result.errors)")
            try FileManager.default.removeItem(atPath: "\(scratch.path)/fleet/tools/t/1.2.0.yaml")
        }
        #expect(try imported("c", "3.0.0").output.contains("fleet/tools/t/3.0.0.yaml: created"))
        // It is nobody's yet, and goes on.
        #expect(try imported("d", "3.0.0").output.contains("fleet/tools/t/3.0.0.yaml: updated"))
    }

    @Test("What a killed import left behind is taken away by the next one, and what one at work has is not")
    func leftovers() throws {
        try write(#"[{"name": "a", "inputSchema": {}}]"#, "tools.json")
        #expect(try ensign(["import", "mcp", "t", "--from", "tools.json"]).status == 0)
        let old = Date(timeIntervalSinceNow: -120)
        for (name, date) in [(".ensign-3k9", old), (".ensign-young1", Date()), (".ensign-Not.Ours", old)] {
            let path = "\(scratch.path)/fleet/tools/t/\(name)"
            try "x".write(toFile: path, atomically: false, encoding: .utf8)
            try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: path)
        }
        try write(#"[{"name": "b", "inputSchema": {}}]"#, "tools.json")
        #expect(try ensign(["import", "mcp", "t", "--from", "tools.json"]).status == 0)
        let left = try FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/fleet/tools/t").sorted()
        #expect(left == [".ensign-Not.Ours", ".ensign-young1", "0.1.0.yaml"])
    }

    @Test("What a person has written wrong in a manifest is said with its place in that file")
    func continued() throws {
        try write(#"[{"name": "a", "inputSchema": {}}]"#, "tools.json")
        #expect(try ensign(["import", "mcp", "t", "--from", "tools.json"]).status == 0)
        let path = "fleet/tools/t/0.1.0.yaml"
        try write(try text(path).replacing("  owner: support\n", with: "  owner: support\n  ownr: x\n"), path)
        try write(#"[{"name": "0", "inputSchema": {}}, {"name": "a", "inputSchema": {}}]"#, "tools.json")
        let result = try ensign(["import", "mcp", "t", "--from", "tools.json"])
        #expect(result.status == 3 && result.errors.contains("[left-out] \(path):6:3: "), "\(result.errors)")
    }

    @Test("Nothing is written behind a symbolic link, nor into a bare repository, and both are said")
    func places() throws {
        try write(#"[{"name":"a","description":"A","inputSchema":{"type":"object"}}]"#, "all.json")
        try FileManager.default.createDirectory(atPath: "\(scratch.path)/outside", withIntermediateDirectories: true)
        try FileManager.default.createDirectory(
            atPath: "\(scratch.path)/fleet/tools",
            withIntermediateDirectories: true
        )
        try FileManager.default.createSymbolicLink(
            atPath: "\(scratch.path)/fleet/tools/t",
            withDestinationPath: "../../outside"
        )
        let linked = try ensign(["import", "mcp", "t", "--from", "all.json"])
        #expect(linked.status == 1 && linked.errors.contains("fleet/tools/t is a symbolic link"), "\(linked)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/outside") == [])
        try FileManager.default.removeItem(atPath: "\(scratch.path)/fleet/tools/t")
        try commit()
        #expect(try run("git", ["clone", "-q", "--bare", ".", "host.git"], in: scratch.path).status == 0)
        for words in [["import", "mcp", "t", "--from", "all.json"], ["new", "team", "other"]] {
            let bare = try ensign(words + ["--repo", "host.git"])
            #expect(bare.status == 1 && bare.errors.contains("bare repository"), "\(bare)")
        }
        #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/host.git/fleet"))
    }

    @Test("What cannot be declared is left out, and the exit status says so")
    func leftOut() throws {
        let tools =
            ##"{"tools": [{"name": "a", "inputSchema": {}}, {"name": "b", "inputSchema": {"$dynamicRef": "#x"}}]}"##
        try write(tools, "tools.json")
        let result = try ensign(["import", "mcp", "t", "--from", "tools.json"])
        #expect(result.status == 3 && result.errors.contains("[left-out] tools.json:1:47: b: its input schema"))
        #expect(try ensign(["validate"]).status == 0)
        try write("{", "tools.json")
        #expect(try ensign(["import", "mcp", "t", "--from", "tools.json"]).status == 3)
    }

    @Test("Agents of frameworks become manifests that validate; again they follow the prompt only")
    func agents() throws {
        try write("planner: {role: Planner, goal: Plan it., backstory: You plan.}\n", "agents.yaml")
        try write(#"{"graphs": {"flow": "./flow.py:graph"}}"#, "langgraph.json")
        #expect(try ensign(["import", "crewai", "."]).status == 3)
        for kind in ["crewai", "langgraph"] {
            let result = try ensign(["import", kind, ".", "--model", "openai/gpt-5"])
            #expect(result.status == 0, "\(result.errors)")
        }
        let folder = "fleet/agents/support/planner/next"
        #expect(try ensign(["validate"]).status == 0)
        try write(try text("\(folder)/agent.yaml") + "# mine\n", "\(folder)/agent.yaml")
        let token = "glpat-" + "Zk3vQ9xT1bLp7Rw2Yd8N"
        try write("planner: {role: Planner, goal: \(token), backstory: You plan.}\n", "agents.yaml")
        #expect(try ensign(["import", "crewai", "."]).status == 3)
        #expect(try !text("\(folder)/prompt.md").contains(token))
        try write("planner: {role: Planner, goal: Plan it all., backstory: You plan.}\n", "agents.yaml")
        #expect(try ensign(["import", "crewai", ".", "--check"]).status == 2)
        #expect(try ensign(["import", "crewai", "."]).output.contains("prompt.md: updated"))
        #expect(try text("\(folder)/agent.yaml").hasSuffix("# mine\n"))
        #expect(try text("\(folder)/prompt.md").contains("Plan it all."))
    }
}
