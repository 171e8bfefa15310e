package import EnsignModel

/// The arguments of a tool that a call by HTTP says in headers, too, for whoever stands between and reads no messages
/// (2026-07-28, "Custom Headers from Tool Parameters"). Pure.
package struct MirroredArguments: Sendable, Hashable {
    private struct Argument: Sendable, Hashable {
        /// The names of members that lead to it.
        var path: [String]
        /// The header's whole name.
        var header: String
        var isWhole: Bool

        func value(in arguments: JSONValue) -> JSONValue? {
            path.reduce(arguments as JSONValue?) { $0?[$1] }
        }
    }

    private let arguments: [Argument]

    static let keyword = "x-mcp-header"
    private static let prefix = "Mcp-Param-"

    /// - Parameter schema: Of the tool's arguments; nil where it has none.
    /// - Throws: ``MirroringDefect`` where one of its headers is not what the protocol allows: a client does not take such a tool.
    package init(of schema: JSONValue?) throws(MirroringDefect) {
        var found: [Argument] = []
        var names: Set<String> = []
        // No recursion: a server's schema may be as deep as it likes.
        var open: [SchemaPlace] = schema.map { [SchemaPlace(path: [], schema: $0)] } ?? []
        while let place = open.popLast() {
            open += place.inside
            guard let mark = place.schema[Self.keyword] else { continue }
            let argument = try Self.argument(place, mark)
            guard names.insert(argument.header.lowercased()).inserted else {
                throw MirroringDefect("two arguments have the '\(Self.keyword)' \(mark.text.onOneLine(utf8: 100))")
            }
            found.append(argument)
        }
        arguments = found.sorted { $0.header.utf8.lexicographicallyPrecedes($1.header.utf8) }
    }

    private static func argument(_ place: SchemaPlace, _ mark: JSONValue) throws(MirroringDefect) -> Argument {
        guard let path = place.path, !path.isEmpty else {
            throw MirroringDefect("'\(keyword)' stands where no argument is: only 'properties' may lead to it")
        }
        let name = path.joined(separator: ".").quoted(utf8: 100)
        guard let token = mark.string, HTTPHead.isToken(token) else {
            throw MirroringDefect("the '\(keyword)' of \(name) is not a name of a header")
        }
        let type = place.schema["type"]?.string ?? ""
        guard ["string", "integer", "boolean"].contains(type) else {
            throw MirroringDefect("\(name) has an '\(keyword)' and is not a string, an integer or a boolean")
        }
        return Argument(path: path, header: prefix + token, isWhole: type == "integer")
    }

    // MARK: As a client

    /// What a call with these arguments says in headers; nothing of an argument that is not there or null.
    package func headers(of arguments: JSONValue) -> [(name: String, value: String)] {
        self.arguments.compactMap { argument in
            Self.text(argument.value(in: arguments)).map { (argument.header, HTTPRules.encoded($0)) }
        }
    }

    /// A value as a header says it; nil for what it cannot say.
    private static func text(_ value: JSONValue?) -> String? {
        switch value {
        case .string(let text): text
        case .bool, .integer, .number: value?.text
        case nil, .null, .array, .object: nil
        }
    }

    // MARK: As a server

    /// Why the headers of a request do not say what its arguments say; nil where they do.
    ///
    /// - Parameter headers: By names in small letters.
    package func difference(of headers: [String: [String]], from arguments: JSONValue) -> String? {
        for argument in self.arguments {
            let said = headers[argument.header.lowercased()] ?? []
            let value = argument.value(in: arguments)
            guard said.count <= 1 else { return "the header '\(argument.header)' is there more than once" }
            switch (Self.text(value), said.first) {
            case (nil, nil): continue
            case (let meant?, let said?):
                guard let said = HTTPRules.decoded(said), Self.isSame(said, meant, value, argument) else { fallthrough }
            default:
                let name = argument.path.joined(separator: ".").quoted(utf8: 100)
                return "the header '\(argument.header)' must say what \(name) says, and be there where that is"
            }
        }
        return nil
    }

    /// Whole numbers are compared as numbers: `42.0` is `42`.
    private static func isSame(_ said: String, _ meant: String, _ value: JSONValue?, _ argument: Argument) -> Bool {
        if said.utf8.elementsEqual(meant.utf8) { return true }
        guard argument.isWhole, case .integer(let number)? = value else { return false }
        let parts = said.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[1].isEmpty, parts[1].allSatisfy({ $0 == "0" }), !parts[0].hasPrefix("+") else {
            return false
        }
        return Int64(parts[0]) == number
    }
}

/// Why a tool whose arguments stand in headers is not taken.
package struct MirroringDefect: Error, Sendable, Hashable {
    /// One sentence for the operator, printable.
    package let message: String

    init(_ message: String) { self.message = message }
}

/// A schema within a schema, and the members that lead to what it is of.
private struct SchemaPlace {
    /// Nil behind anything but `properties`: no one value is there.
    var path: [String]?
    var schema: JSONValue

    /// Keywords with a schema, a list of schemas, or schemas by names (JSON Schema 2020-12, and what older drafts had).
    private static let other = [
        "additionalItems", "additionalProperties", "allOf", "anyOf", "contains", "contentSchema", "else", "if", "items",
        "not", "oneOf", "prefixItems", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
    ]
    private static let named = ["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties"]

    /// The schemas right inside. References are not followed: what they name is looked at where it stands.
    var inside: [SchemaPlace] {
        guard let members = schema.object else { return [] }
        var found = (members["properties"]?.object ?? [:]).map { name, inner in
            SchemaPlace(path: path.map { $0 + [name] }, schema: inner)
        }
        for keyword in Self.other {
            guard let value = members[keyword] else { continue }
            found += (value.array ?? [value]).map { SchemaPlace(path: nil, schema: $0) }
        }
        for keyword in Self.named {
            found += (members[keyword]?.object ?? [:]).map { SchemaPlace(path: nil, schema: $0.value) }
        }
        return found
    }
}
