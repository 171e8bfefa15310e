import EnsignJSON
package import EnsignModel

/// What a server says of itself and of its tools. All of it is the server's word.
package struct ServerListing: Sendable, Hashable {
    /// The name that the server gives itself; may be empty.
    package var name = ""
    /// The version that it gives; nil where it gives none.
    package var version: String?
    /// In the order of the server. Names may be repeated.
    package var tools: [Tool] = []
    /// Why tools are left out, by their names: what they say is not the protocol.
    package private(set) var leftOut: [String: String] = [:]
    /// The start of the server that it is of: each one may offer something else. Nil where starts are not known.
    package var start: Int?
    /// Why elements of the list are no tools, by their indices in it.
    package private(set) var unread: [Int: String] = [:]
    /// Where the list of tools stands in the answer that was read.
    package private(set) var pointer: [String] = []

    /// One tool, as it is said to be. Hints are `annotations.readOnlyHint`, `destructiveHint` and `idempotentHint`.
    package typealias Tool = OfferedOperation

    /// The most tools and pages of one server.
    package static let mostTools = 10_000
    package static let mostPages = 1_000

    /// - Parameter info: The protocol's `serverInfo`.
    package init(info: JSONValue) {
        name = info["name"]?.string ?? ""
        version = info["version"]?.string
    }

    package init(name: String = "", version: String? = nil, tools: [Tool]) {
        self.name = name
        self.version = version
        self.tools = tools
    }

    /// Adds the tools of one answer to `tools/list`.
    package mutating func add(_ page: JSONValue) throws(MCPError) {
        guard let tools = page["tools"]?.array else {
            throw MCPError(.malformed, "the answer to 'tools/list' has no list 'tools'")
        }
        guard self.tools.count + unread.count + tools.count <= Self.mostTools else {
            throw MCPError(.limit, "the server has more than \(Self.mostTools) tools")
        }
        for tool in tools {
            // One that is none must not spoil the others.
            guard let name = tool["name"]?.string else {
                unread[self.tools.count + unread.count] = tool.object == nil ? "it is not a tool" : "it has no name"
                continue
            }
            self.tools.append(Tool(name: name, definition: tool))
        }
    }

    /// Where the server's list goes on; nil where this page is the last one. An empty text is no cursor: several servers
    /// write it behind the last page.
    package static func cursor(behind page: JSONValue) -> String? {
        page["nextCursor"]?.string.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Where the server's list has a tool, as long as none was left out.
    package func index(ofTool number: Int) -> Int {
        unread.keys.sorted().reduce(number) { index, other in other <= index ? index + 1 : index }
    }

    /// Leaves out the tools that are not to be used.
    ///
    /// - Parameter defect: Why one is not; nil for one that is.
    package mutating func leaveOut(_ defect: (Tool) -> String?) {
        tools.removeAll { tool in
            guard let why = defect(tool) else { return false }
            leftOut[tool.name] = why
            return true
        }
    }

    /// Reads an answer to `tools/list` that somebody kept: the whole message, its `result`, or the list alone.
    ///
    /// - Throws: ``MCPError`` for anything else.
    package init(answer bytes: [UInt8]) throws(MCPError) {
        let value: JSONValue
        do {
            value = try JSONParser.parse(foreign: bytes)
        } catch {
            throw MCPError(.malformed, "it is not JSON: \(error.description)")
        }
        guard Self.cursor(behind: value["result"] ?? value) == nil else {
            throw MCPError(.malformed, "it is one page of several (nextCursor): save all tools as one list")
        }
        self.init(info: value["serverInfo"] ?? value["_meta"]?["io.modelcontextprotocol/serverInfo"] ?? .null)
        pointer = value.array != nil ? [] : value["result"] != nil ? ["result", "tools"] : ["tools"]
        try add(value.array == nil ? value["result"] ?? value : ["tools": value])
    }
}

extension OfferedOperation {
    /// - Parameter value: The protocol's `Tool`.
    fileprivate init(name: String, definition value: JSONValue) {
        self.init(
            name: name,
            description: value["description"]?.string,
            input: value["inputSchema"].flatMap { $0.isNull ? nil : $0 },
            output: value["outputSchema"].flatMap { $0.isNull ? nil : $0 },
            isReadOnly: value["annotations"]?["readOnlyHint"]?.bool,
            isDestructive: value["annotations"]?["destructiveHint"]?.bool,
            isIdempotent: value["annotations"]?["idempotentHint"]?.bool
        )
    }
}
