import EnsignCommandLine
import EnsignImport
import EnsignManifest
import EnsignModel

/// A server that an MCP client's configuration names (`mcpServers` of `.mcp.json` and `claude_desktop_config.json`,
/// `servers` of VS Code's `mcp.json`).
struct ConfiguredServer {
    /// As a tool's name: lower case, dashes for what a name cannot have.
    var name: String
    var command: [String] = []
    var url: String?
    var environment: [String: String] = [:]
    var headers: [(name: String, value: String)] = []
    var directory: String?
    var isSSE = false
    /// Whether the client does not start it.
    var isOff = false
    var decisions: [ImportDecision] = []

    /// What would be started or asked, for people: without secrets, and a query may have any.
    var words: String {
        if let url {
            let end = url.firstIndex { $0 == "?" || $0 == "#" }
            return url.contains("@") || LiteralSecrets.isSecret(url)
                ? "an address with a secret" : (end.map { "\(url[..<$0])?..." } ?? url).onOneLine(utf8: 200)
        }
        let secrets = LiteralSecrets.found(in: command)
        return command.indices.map { secrets[$0] == nil ? command[$0] : "***" }.joined(separator: " ")
            .onOneLine(utf8: 200)
    }

    /// The manifest's `server`. Values of variables and headers are not in it, but references: they are secrets more often
    /// than not.
    var manifest: JSONValue {
        var server = JSONObject()
        if let url {
            server["url"] = .string(url)
            if isSSE { server["transport"] = "sse" }
            if !headers.isEmpty { server["headers"] = Self.references(headers) }
        } else {
            server["command"] = .array(command.map { .string($0) })
            if !environment.isEmpty { server["env"] = Self.references(environment.map { ($0.key, $0.value) }) }
            if let directory { server["cwd"] = .string(directory) }
        }
        return ["mcp": .object(server)]
    }

    /// `{ref: env:NAME}` for each value: the variable that it names itself, or one of its own name.
    private static func references(_ values: [(name: String, value: String)]) -> JSONValue {
        .object(
            JSONObject(
                values.map { name, value in (name, ["ref": .string("env:\(variable(in: value) ?? plain(name))")]) }
            )
        )
    }

    /// `X` of `${X}`, `${env:X}` and `Bearer ${X}`; nil where anything else is before it, which a reference would lose.
    private static func variable(in value: String) -> String? {
        let parts = value.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 2, let last = parts.last, last.hasPrefix("{"), last.hasSuffix("}"),
            parts[0].isEmpty || parts[0] == "Bearer " || parts[0] == "Basic "
        else { return nil }
        let written = last.dropFirst().dropLast()
        let name = written.hasPrefix("env:") ? written.dropFirst(4) : written
        let isName = name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        return isName && !name.isEmpty ? String(name) : nil
    }

    private static func plain(_ name: String) -> String {
        String(name.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }

    init(_ name: String, _ entry: JSONValue) throws(ConfigurationProblem) {
        self.name = name
        guard entry.object != nil else { throw ConfigurationProblem("it is not an object") }
        let (address, other) = (try Self.text(entry, "url"), try Self.text(entry, "serverUrl"))
        if let url = address ?? other {
            self.url = url
        } else if let program = try Self.text(entry, "command") {
            command = [program] + (try Self.arguments(entry["args"]))
        } else {
            throw ConfigurationProblem("it has neither 'command' nor 'url'")
        }
        directory = try Self.text(entry, "cwd")
        isSSE = (entry["type"] ?? entry["transport"])?.string == "sse"
        isOff = entry["disabled"] == true || entry["enabled"] == false
        for (name, value) in try Self.values(entry, "env") {
            guard !name.isEmpty, !name.utf8.contains(where: { $0 == UInt8(ascii: "=") || $0 == 0 }) else {
                throw ConfigurationProblem("'env' has \(name.quoted(utf8: 70)), which no variable can be called")
            }
            environment[name] = value
        }
        headers = try Self.values(entry, "headers")
        decide(entry)
    }

    private static func text(_ entry: JSONValue, _ field: String) throws(ConfigurationProblem) -> String? {
        guard let value = entry[field], value != .null else { return nil }
        guard let text = value.string else { throw ConfigurationProblem("'\(field)' is not text") }
        return text
    }

    private static func arguments(_ value: JSONValue?) throws(ConfigurationProblem) -> [String] {
        guard let value, value != .null else { return [] }
        guard let elements = value.array else { throw ConfigurationProblem("'args' is not a list") }
        var words: [String] = []
        for element in elements {
            guard let word = scalar(element) else {
                throw ConfigurationProblem("'args' has something that is not text")
            }
            words.append(word)
        }
        return words
    }

    private static func values(_ entry: JSONValue, _ field: String) throws(ConfigurationProblem) -> [(
        name: String, value: String
    )] {
        guard let value = entry[field], value != .null else { return [] }
        guard let members = value.object else { throw ConfigurationProblem("'\(field)' is not an object") }
        var values: [(name: String, value: String)] = []
        for (name, value) in members {
            guard let text = scalar(value) else {
                throw ConfigurationProblem("'\(field)' has something that is not text: \(name.quoted(utf8: 70))")
            }
            values.append((name, text))
        }
        return values
    }

    /// A text, or what clients hand on as one.
    private static func scalar(_ value: JSONValue) -> String? {
        switch value {
        case .string(let text): text
        case .bool, .integer, .number: value.text
        case .null, .array, .object: nil
        }
    }

    private mutating func decide(_ entry: JSONValue) {
        let secrets = environment.keys.sorted() + headers.map(\.name)
        for name in secrets {
            let why = "its value is not written, but a reference to a variable: say where it is kept"
            decisions.append(ImportDecision(.guess, name, why))
        }
        if isSSE {
            decisions.append(
                ImportDecision(.look, "type", "'sse' is the transport of 2024; it is asked as HTTP is today")
            )
        }
        if entry["envFile"] != nil {
            decisions.append(ImportDecision(.look, "envFile", "its variables are not read: name them in env"))
        }
        if url?.contains("${") ?? command.contains(where: { $0.contains("${") }) {
            decisions.append(ImportDecision(.look, "server", "it has a variable, which manifests do not fill in"))
        }
    }

    /// The same with its variables filled in, to be started or asked.
    func filled(_ variables: inout ServerVariables) -> ConfiguredServer {
        var result = self
        result.command = command.map { variables.fill($0) }
        result.url = url.map { variables.fill($0) }
        result.directory = directory.map { variables.fill($0) }
        for name in environment.keys.sorted() { result.environment[name] = variables.fill(environment[name] ?? "") }
        result.headers = headers.map { ($0.name, variables.fill($0.value)) }
        return result
    }

    static func toolName(_ name: String) -> String {
        var result = ""
        for scalar in name.lowercased().unicodeScalars {
            let isPlain = ("a"..."z").contains(scalar) || ("0"..."9").contains(scalar)
            if isPlain { result.unicodeScalars.append(scalar) } else if !result.hasSuffix("-") { result += "-" }
        }
        while result.hasPrefix("-") { result.removeFirst() }
        while result.hasSuffix("-") { result.removeLast() }
        return result
    }
}
