package import EnsignModel
import EnsignYAML

/// An agent as a framework's files describe it, before it becomes a manifest.
package struct OfferedAgent: Sendable, Hashable {
    /// As Ensign names it.
    package var name: String
    package var description: String
    /// Nil where the files name none.
    package var model: (provider: String, name: String)? { modelParts.map { ($0.provider, $0.name) } }
    /// Nil where it is in code.
    package var prompt: String?
    package var runtime: JSONValue
    package var steps: Int64?
    package var seconds: Int64?
    package var decisions: [ImportDecision] = []

    fileprivate var modelParts: ModelName?

    /// The text of its manifest.
    ///
    /// - Parameter fallback: The model where the files name none.
    package func manifest(fallback: (provider: String, name: String)?) -> String? {
        guard let model = model ?? fallback else { return nil }
        var lines = [
            "# From the framework's own files, by 'ensign import'.", "apiVersion: ensign.dev/v1", "kind: Agent",
            "spec:",
        ]
        lines += YAMLWriter.member("description", .string(description), indent: 2)
        lines += YAMLWriter.member(
            "model",
            ["provider": .string(model.provider), "name": .string(model.name)],
            indent: 2,
            comment: self.model == nil ? "guess: the files name none" : nil
        )
        if prompt != nil { lines += YAMLWriter.member("instructions", "prompt.md", indent: 2) }
        var limits = JSONObject()
        limits["steps"] = steps.map { .integer($0) }
        limits["seconds"] = seconds.map { .integer($0) }
        if !limits.isEmpty { lines += YAMLWriter.member("limits", .object(limits), indent: 2) }
        lines += YAMLWriter.member("runtime", runtime, indent: 2)
        return lines.joined(separator: "\n") + "\n"
    }
}

/// A model as frameworks write it: `provider/name`.
package struct ModelName: Sendable, Hashable {
    package var provider: String
    package var name: String

    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1)
        guard parts.count == 2, text.utf8.count <= 200, !text.contains("\n") else { return nil }
        provider = String(parts[0])
        name = String(parts[1])
    }
}

/// Reads agents from the files of frameworks. Their code is never run.
package enum AgentFiles {
    /// The most agents of one file.
    private static let most = 500

    // MARK: crewAI

    /// The agents of `agents.yaml`, with the tasks that `tasks.yaml` gives them.
    package static func crewAI(agents: JSONValue, tasks: JSONValue?) throws(ForeignDocumentError) -> [OfferedAgent] {
        guard let members = agents.object, !members.isEmpty else {
            throw ForeignDocumentError(
                description: "it is not an agents.yaml: a mapping of agents with role, goal and backstory"
            )
        }
        if let odd = members.first(where: { !isCrewAgent($0.value) }) {
            throw ForeignDocumentError(
                description:
                    "it is not an agents.yaml: \(odd.key.quoted(utf8: 100)) has neither role, goal nor backstory"
            )
        }
        guard members.count <= most else { throw ForeignDocumentError(description: "it has more than \(most) agents") }
        var found = try distinct(members.map { crew($0.key, $0.value, tasks) })
        for task in tasks?.object ?? [:] where agents[text(task.value["agent"])] == nil {
            let whose = text(task.value["agent"])
            let why = whose.isEmpty ? "names no agent" : "is for \(whose.quoted(utf8: 100)), who is not in agents.yaml"
            found[0].decisions.append(ImportDecision(.noPlace, "tasks", "the task '\(task.key)' \(why)"))
        }
        return found
    }

    private static func isCrewAgent(_ value: JSONValue) -> Bool {
        ["role", "goal", "backstory"].contains { value[$0]?.string != nil }
    }

    private static let crewFields: Set<String> = [
        "role", "goal", "backstory", "llm", "max_iter", "max_execution_time", "verbose", "tools",
    ]

    private static func crew(_ key: String, _ value: JSONValue, _ tasks: JSONValue?) -> OfferedAgent {
        let name = agentName(key)
        let (role, goal) = (text(value["role"]), text(value["goal"]))
        var prompt = "# \(role.isEmpty ? key : role)\n"
        if !goal.isEmpty { prompt += "\n## Goal\n\n\(goal)\n" }
        let story = text(value["backstory"])
        if !story.isEmpty { prompt += "\n\(story)\n" }
        var decisions: [ImportDecision] = []
        let own = (tasks?.object ?? [:]).filter { text($0.value["agent"]) == key }
        for task in own {
            prompt += "\n## Task: \(task.key)\n\n\(text(task.value["description"]))\n"
            let expected = text(task.value["expected_output"])
            if !expected.isEmpty { prompt += "\nExpected output: \(expected)\n" }
            for field in ["context", "output_file", "async_execution", "human_input", "guardrail"]
            where task.value[field] != nil {
                decisions.append(ImportDecision(.noPlace, name, "the task '\(task.key)' has '\(field)'"))
            }
        }
        let llm = value["llm"]?.string ?? value["llm"]?["model"]?.string
        let model = llm.flatMap { ModelName($0) }
        if let llm, model == nil {
            decisions.append(ImportDecision(.look, name, "its model is '\(llm)', without a provider"))
        }
        for (field, _) in value.object ?? [:] where !crewFields.contains(field) {
            decisions.append(ImportDecision(.noPlace, name, "'\(field)'"))
        }
        if value["tools"] != nil {
            decisions.append(
                ImportDecision(.look, name, "its tools are code: declare them as tools, and name them in needs")
            )
        }
        decisions += placeholders(in: prompt, of: name)
        let written = written(prompt)
        if let why = written.why { decisions.append(ImportDecision(.look, name, why)) }
        return OfferedAgent(
            name: name,
            description: sentence(goal.isEmpty ? role : goal, else: "An agent of crewAI"),
            prompt: written.text,
            runtime: ["kind": "crewai", "agent": .string(key)],
            steps: value["max_iter"]?.int.flatMap { $0 > 0 ? $0 : nil },
            seconds: value["max_execution_time"]?.int.flatMap { $0 > 0 ? $0 : nil },
            decisions: decisions,
            modelParts: model
        )
    }

    /// A prompt as a file may have it, and what is odd in it: what no text may have is made visible, and all else stays as
    /// it is, because a model reads it.
    private static func written(_ prompt: String) -> (text: String, why: String?) {
        let scan = TextScan.scan(Array(prompt.utf8), manifest: false)
        guard let odd = scan.problems.first ?? scan.warnings.first else { return (prompt, nil) }
        let place = "line \(odd.mark.line) of its prompt: \(odd.message)"
        guard !scan.problems.isEmpty else { return (prompt, place) }
        var shown: [Unicode.Scalar: String] = [:]
        var text = ""
        for scalar in prompt.unicodeScalars {
            if let known = shown[scalar] {
                text += known
                continue
            }
            let alone = String(scalar)
            let isFine = TextScan.scan(Array(alone.utf8), manifest: false).problems.isEmpty
            shown[scalar] = isFine ? alone : alone.onItsLines
            text += isFine ? alone : alone.onItsLines
        }
        return (text, "\(place); it is written visibly")
    }

    /// `{topic}`: what the runtime fills in.
    private static func placeholders(in prompt: String, of name: String) -> [ImportDecision] {
        var found: [String] = []
        var rest = prompt[...]
        while let start = rest.firstIndex(of: "{") {
            rest = rest[rest.index(after: start)...]
            let word = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
            if !word.isEmpty, rest.dropFirst(word.count).first == "}", !found.contains(String(word)) {
                found.append(String(word))
            }
        }
        guard !found.isEmpty else { return [] }
        let names = found.prefix(10).map { "{\($0)}" }.joined(separator: ", ")
        return [ImportDecision(.look, name, "its prompt has \(names), which the runtime fills in; Ensign does not")]
    }

    // MARK: LangGraph

    /// The graphs of `langgraph.json`, an agent each.
    package static func langGraph(_ value: JSONValue) throws(ForeignDocumentError) -> [OfferedAgent] {
        guard let graphs = value["graphs"]?.object, !graphs.isEmpty else {
            throw ForeignDocumentError(description: "it is not a langgraph.json: it has no 'graphs'")
        }
        guard graphs.count <= most else { throw ForeignDocumentError(description: "it has more than \(most) graphs") }
        var shared: [ImportDecision] = []
        if let variables = value["env"] {
            let names = variables.object?.map(\.key) ?? []
            let what = names.isEmpty ? "a file" : names.prefix(10).joined(separator: ", ")
            shared.append(ImportDecision(.noPlace, "env", "\(what); values are not written"))
        }
        for (field, _) in value.object ?? [:] where field != "graphs" && field != "env" && field != "$schema" {
            shared.append(ImportDecision(.noPlace, field, "how the graph is built and served stays in langgraph.json"))
        }
        var agents: [OfferedAgent] = []
        for (key, graph) in graphs {
            let name = agentName(key)
            let path = graph.string ?? text(graph["path"])
            guard !path.isEmpty else {
                throw ForeignDocumentError(description: "the graph \(key.quoted(utf8: 100)) names no file")
            }
            let why =
                "its prompts and models are in its code: name the model, or say in runtime.digest what it runs"
            agents.append(
                OfferedAgent(
                    name: name,
                    description: sentence(text(graph["description"]), else: "The graph \(key) of LangGraph"),
                    prompt: nil,
                    runtime: ["kind": "langgraph", "graph": .string(path)],
                    decisions: [ImportDecision(.guess, name, why)],
                    modelParts: nil
                )
            )
        }
        agents[0].decisions += shared
        return try distinct(agents)
    }

    // MARK: Names

    private static func distinct(_ agents: [OfferedAgent]) throws(ForeignDocumentError) -> [OfferedAgent] {
        var names: Set<String> = []
        for agent in agents {
            guard Name.isValid(agent.name) else {
                throw ForeignDocumentError(description: "an agent's name has no letters that a name can have")
            }
            guard names.insert(agent.name).inserted else {
                throw ForeignDocumentError(description: "two agents would be called '\(agent.name)'")
            }
        }
        return agents
    }

    private static func agentName(_ key: String) -> String {
        var name = ""
        for scalar in key.lowercased().unicodeScalars {
            let isPlain = ("a"..."z").contains(scalar) || ("0"..."9").contains(scalar)
            if isPlain {
                name.unicodeScalars.append(scalar)
            } else if !name.isEmpty, !name.hasSuffix("-") {
                name += "-"
            }
        }
        name = String(name.prefix(63))
        while name.hasSuffix("-") { name.removeLast() }
        return name
    }

    private static func text(_ value: JSONValue?) -> String {
        var lines = (value?.string ?? "").split(separator: "\n", omittingEmptySubsequences: false)[...]
        while let first = lines.first, first.allSatisfy(\.isWhitespace) { lines = lines.dropFirst() }
        while let last = lines.last, last.allSatisfy(\.isWhitespace) { lines = lines.dropLast() }
        return lines.joined(separator: "\n")
    }

    private static func sentence(_ text: String, else fallback: String) -> String {
        let line = text.split(whereSeparator: \.isWhitespace).joined(separator: " ").onOneLine(utf8: 1_000)
        return line.isEmpty ? fallback.onOneLine(utf8: 200) : line
    }
}
