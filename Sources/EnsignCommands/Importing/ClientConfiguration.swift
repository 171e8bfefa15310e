import EnsignCommandLine
import EnsignImport
import EnsignJSON
import EnsignManifest
import EnsignModel

/// Why an entry of a configuration is not a server that can be imported. One sentence without a full stop, printable.
struct ConfigurationProblem: Error {
    let description: String

    init(_ description: String) { self.description = description }
}

/// The servers that a client's configuration names, in its order.
struct ClientConfiguration {
    /// Those that can be imported.
    private(set) var servers: [ConfiguredServer] = []
    /// Entries that cannot: what each is called, and why, with its place.
    private(set) var odd: [(name: String, why: String)] = []

    /// - Parameter only: The one that is wanted, by its own name or by the tool's.
    init(_ bytes: [UInt8], file: String, only: String?) throws {
        // Editors keep comments in it.
        let plain = CommentedJSON.plain(bytes)
        let value: JSONValue
        do { value = try JSONParser.parse(plain) } catch {
            throw Failure(
                message: "\(file):\(error.line):\(error.column): it is not JSON: \(error.message)",
                code: .invalid
            )
        }
        guard let (pointer, entries) = Self.entries(value) else {
            throw Failure(message: "\(file) names no servers under 'mcpServers' or 'servers'", code: .invalid)
        }
        var whose: [String: String] = [:]
        for (name, entry) in entries {
            let own = ConfiguredServer.toolName(name)
            guard only == nil || only == name || only == own else { continue }
            do throws(ConfigurationProblem) {
                guard Name.isValid(own) else {
                    throw ConfigurationProblem("\(name.quoted(utf8: 70)) cannot be a tool's name: \(Name.rule)")
                }
                if let first = whose[own] {
                    throw ConfigurationProblem(
                        "it would be the tool '\(own)', as \(first.quoted(utf8: 70)) is: rename one of them"
                    )
                }
                whose[own] = name
                servers.append(try ConfiguredServer(own, entry))
            } catch {
                odd.append((name, error.description))
            }
        }
        // The file is read once for all of them, and for no more than are shown.
        let placed = odd.prefix(ImportOutcome.shown).map { pointer + [$0.name] }
        let places = placed.isEmpty ? [] : ManifestLoader.positions(of: placed, in: plain)
        for index in odd.indices {
            let place = index < places.count ? places[index] : nil
            let line = place.map { ":\($0.line):\($0.column)" } ?? ""
            odd[index].why = "\(file)\(line): \(odd[index].why)"
        }
        guard !servers.isEmpty || !odd.isEmpty else {
            let names = entries.map { $0.key.onOneLine(utf8: 70) }
            throw Failure(
                message: "\(file) has no server \((only ?? "").quoted(utf8: 70))",
                hints: ["it has \(names.prefix(10).joined(separator: ", "))"]
            )
        }
    }

    /// The servers by name, and where they are: under the key that each client has for them, or as frameworks take them,
    /// without one.
    private static func entries(_ value: JSONValue) -> (pointer: [String], entries: JSONObject)? {
        for pointer in [["mcpServers"], ["servers"], ["mcp", "servers"]] {
            let found = pointer.reduce(Optional(value)) { $0?[$1] }
            if let entries = found?.object, !entries.isEmpty { return (pointer, entries) }
        }
        guard let entries = value.object, !entries.isEmpty,
            entries.allSatisfy({ $0.value["command"] != nil || $0.value["url"] != nil })
        else { return nil }
        return ([], entries)
    }
}
