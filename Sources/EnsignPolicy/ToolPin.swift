import EnsignCrypto
package import EnsignModel

/// The digest by which a tool's definition on its server is recognised: of what a call depends on.
///
/// It is over the RFC 8785 bytes, without a line feed, of an object with the definition's `name`, `inputSchema` and, where
/// it has one, `outputSchema`. A member that is absent or null is left out. Descriptions, titles and annotations are not
/// part of it: nothing of them reaches a model or decides about a call.
package enum ToolPin {
    /// - Parameter definition: A tool as `tools/list` of the Model Context Protocol gives it.
    /// - Returns: nil for what has no name.
    package static func digest(of definition: JSONValue) -> Digest? {
        definition["name"]?.string.map {
            digest(name: $0, input: definition["inputSchema"], output: definition["outputSchema"])
        }
    }

    /// - Parameters:
    ///   - name: What the server calls it.
    ///   - input: `inputSchema`, as the server gives it; nil or null for none.
    ///   - output: `outputSchema`, alike.
    package static func digest(name: String, input: JSONValue?, output: JSONValue?) -> Digest {
        var object: JSONObject = ["name": .string(name)]
        if let input, !input.isNull { object["inputSchema"] = input }
        if let output, !output.isNull { object["outputSchema"] = output }
        guard let digest = Digest(hex: SHA256.hex(of: JSONValue.object(object).canonicalBytes())) else {
            preconditionFailure("SHA-256 has 64 hexadecimal digits")
        }
        return digest
    }
}
