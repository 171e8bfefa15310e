/// What is in an agent's `runtime`, which is handed on untouched, and may bring what nobody grants.
package enum HiddenAuthority {
    /// Keys under which frameworks look for what only grants may give, in lower case.
    private static let keys: [String: String] = [
        "mcpservers": "servers", "mcp_servers": "servers", "mcp-servers": "servers", "servers": "servers",
        "mcp": "servers", "tools": "tools", "toolsets": "tools", "toolset": "tools", "functions": "tools",
        "plugins": "tools", "skills": "skills", "memory": "a store", "memory_stores": "a store",
        "knowledge": "a store", "vector_store": "a store", "vectorstore": "a store",
    ]

    /// What a key of `runtime` may bring, in a sentence; nil when it is none of these.
    package static func sentence(_ key: String) -> String? {
        keys[key.lowercased()].map {
            "'\(key.cut(utf8: 40))' in runtime may bring \($0) that nobody grants and no plan shows"
        }
    }

    /// The first sentence about a `runtime`; nil when there is nothing to say.
    package static func sentence(in runtime: JSONValue) -> String? {
        switch runtime {
        case .object(let members):
            for (key, value) in members {
                if let found = sentence(key) ?? sentence(in: value) { return found }
            }
            return nil
        case .array(let elements): return elements.lazy.compactMap { sentence(in: $0) }.first
        case .null, .bool, .integer, .number, .string: return nil
        }
    }
}
