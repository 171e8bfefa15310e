import EnsignCommandLine
import EnsignImport
import EnsignJSON
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

    /// `X` of `${X}`, `${env:X}` and `Bearer ${X}`; nil where anything else stands before it, which a reference would lose.
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

    /// The servers of a file, by name.
    ///
    /// - Parameter only: The one that is wanted, by its own name or by the tool's.
    static func read(_ bytes: [UInt8], file: String, only: String?) throws -> [ConfiguredServer] {
        let value: JSONValue
        do { value = try JSONParser.parse(bytes) } catch {
            throw Failure(message: "\(file) is not JSON: \(error.description)", code: .invalid)
        }
        guard let servers = value["mcpServers"]?.object ?? value["servers"]?.object, !servers.isEmpty else {
            throw Failure(message: "\(file) names no servers under 'mcpServers'", code: .invalid)
        }
        var found: [ConfiguredServer] = []
        for (name, entry) in servers {
            let own = toolName(name)
            guard only == nil || only == name || only == own else { continue }
            guard Name.isValid(own) else {
                throw Failure(message: "\(file): \(name.quoted(utf8: 70)) cannot be a tool's name", code: .invalid)
            }
            guard !found.contains(where: { $0.name == own }) else {
                throw Failure(message: "\(file): two servers would be the tool '\(own)'", code: .invalid)
            }
            found.append(try ConfiguredServer(own, entry, file))
        }
        guard !found.isEmpty else {
            let names = servers.map { $0.key.onOneLine(utf8: 70) }
            throw Failure(
                message: "\(file) has no server \((only ?? "").quoted(utf8: 70))",
                hints: ["it has \(names.prefix(10).joined(separator: ", "))"]
            )
        }
        return found
    }

    private init(_ name: String, _ entry: JSONValue, _ file: String) throws {
        self.name = name
        if let url = entry["url"]?.string ?? entry["serverUrl"]?.string {
            self.url = url
        } else if let program = entry["command"]?.string {
            command = [program] + (entry["args"]?.array ?? []).compactMap(\.string)
        } else {
            throw Failure(message: "\(file): the server '\(name)' has neither 'command' nor 'url'", code: .invalid)
        }
        directory = entry["cwd"]?.string
        isSSE = (entry["type"] ?? entry["transport"])?.string == "sse"
        for (name, value) in entry["env"]?.object ?? [:] { environment[name] = value.string ?? value.text }
        for (name, value) in entry["headers"]?.object ?? [:] { headers.append((name, value.string ?? value.text)) }
        decide()
    }

    private mutating func decide() {
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
        if url?.contains("${") ?? command.contains(where: { $0.contains("${") }) {
            decisions.append(ImportDecision(.look, "server", "it has a variable, which manifests do not fill in"))
        }
    }

    private static func toolName(_ name: String) -> String {
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
