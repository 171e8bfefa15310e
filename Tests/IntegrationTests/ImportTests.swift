import EnsignTestSupport
import Foundation
import Testing

/// `ensign import`, against servers that run.
@Suite struct ImportTests {
    let scratch: ScratchDirectory
    let server = "python3 \(packageRoot)/Tests/EnsignMCPTests/Servers/server.py"

    init() throws {
        scratch = try ScratchDirectory()
        try #require(try run("git", ["init", "-q", "-b", "main"], in: scratch.path).status == 0)
        try #require(try ensign(["new", "team", "support"]).status == 0)
    }

    func ensign(_ words: [String], _ environment: [String: String] = [:]) throws -> CommandResult {
        try run(Host.ensign, words, in: scratch.path, environment: environment)
    }

    func text(_ path: String) throws -> String {
        try String(contentsOfFile: "\(scratch.path)/\(path)", encoding: .utf8)
    }

    func write(_ text: String, _ path: String) throws {
        try text.write(toFile: "\(scratch.path)/\(path)", atomically: true, encoding: .utf8)
    }

    func commit() throws {
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
        for behaviour in ["die", "circle", "garbage"] {
            let result = try ensign(["import", "mcp", "tracker", "--command", "\(server) \(behaviour)"])
            #expect(result.status == 1, "\(behaviour): \(result.output)")
            #expect(!result.errors.contains("\u{1b}[2J"))
            #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/fleet/tools"))
        }
        let hang = try ensign(["import", "mcp", "tracker", "--timeout", "2", "--command", "\(server) hang"])
        #expect(hang.status == 1 && hang.errors.contains("within 2 seconds"))
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
