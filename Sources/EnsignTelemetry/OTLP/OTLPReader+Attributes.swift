import EnsignModel

extension OTLPReader {
    /// Everything that is read of an item's attributes.
    struct Attributes {
        var operation: JSONScanner.Text?
        var claim = Claim()
        var environment: String?
        /// The session's key: what Ensign's client writes, and what the conventions have.
        var session: JSONScanner.Text?
        var conversation: JSONScanner.Text?
        var tool: String?
        var arguments: UInt64?
        var errorType: JSONScanner.Text?
        var method: JSONScanner.Text?
        var provider: String?
        var system: String?
        var requestModel: String?
        var responseModel: String?
        var input: OTLPScalar?
        var output: OTLPScalar?
        var cacheRead: OTLPScalar?
        var cacheWrite: OTLPScalar?
        var evaluation: String?
        var score: OTLPScalar?
        var label: String?
        var eventName: JSONScanner.Text?
    }

    mutating func readResource() throws(MalformedJSON) -> Resource {
        var attributes = Attributes()
        try scanner.beginObject()
        var isFirst = true
        while let key = try scanner.nextKey(&isFirst) {
            if scanner.equals(key, "attributes"), scanner.peek() == UInt8(ascii: "[") {
                try readAttributes(&attributes)
            } else {
                try scanner.skip()
            }
        }
        return Resource(claim: attributes.claim, environment: attributes.environment)
    }

    mutating func readAttributes(_ attributes: inout Attributes) throws(MalformedJSON) {
        try scanner.beginArray()
        var isFirst = true
        while try scanner.nextElement(&isFirst) {
            var name: JSONScanner.Text?
            var waiting: Place?
            try scanner.beginObject()
            var isFirstKey = true
            while let key = try scanner.nextKey(&isFirstKey) {
                if scanner.equals(key, "key"), scanner.peek() == UInt8(ascii: "\"") {
                    name = try scanner.text()
                } else if scanner.equals(key, "value") {
                    if let name {
                        try readAttribute(name, &attributes)
                    } else {
                        waiting = scanner.index
                        try scanner.skip()
                    }
                } else {
                    try scanner.skip()
                }
            }
            if let name, let waiting {
                let end = scanner.index
                scanner.rewind(to: waiting)
                try readAttribute(name, &attributes)
                scanner.rewind(to: end)
            }
        }
    }

    mutating func readAttribute(
        _ name: JSONScanner.Text,
        _ attributes: inout Attributes
    ) throws(MalformedJSON) {
        if scanner.hasPrefix(name, "gen_ai.") {
            try readConvention(name, &attributes)
        } else if scanner.equals(name, "ensign.bundle") {
            attributes.claim.bundle = try string(most: 128)
        } else if scanner.equals(name, "ensign.session") {
            attributes.session = try text()
        } else if scanner.equals(name, "error.type") {
            attributes.errorType = try text()
        } else if scanner.equals(name, "mcp.method.name") {
            attributes.method = try text()
        } else if scanner.equals(name, "deployment.environment.name") {
            attributes.environment = try string(most: 128)
        } else if scanner.equals(name, "event.name") {
            attributes.eventName = try text()
        } else {
            try scanner.skip()
        }
    }

    /// The GenAI semantic conventions' names, new and older ones.
    mutating func readConvention(
        _ name: JSONScanner.Text,
        _ attributes: inout Attributes
    ) throws(MalformedJSON) {
        if scanner.equals(name, "gen_ai.operation.name") {
            attributes.operation = try text()
        } else if scanner.equals(name, "gen_ai.agent.name") {
            attributes.claim.agent = try string(most: 256)
        } else if scanner.equals(name, "gen_ai.agent.version") {
            attributes.claim.version = try string(most: 128)
        } else if scanner.equals(name, "gen_ai.conversation.id") {
            attributes.conversation = try text()
        } else if scanner.equals(name, "gen_ai.tool.name") {
            attributes.tool = try string(most: 256)
        } else if scanner.equals(name, "gen_ai.tool.call.arguments") {
            attributes.arguments =
                scanner.peek() == UInt8(ascii: "{") ? try scanner.otlpArgumentsDigest() : try skipped()
        } else if scanner.equals(name, "gen_ai.usage.input_tokens") {
            attributes.input = try scanner.otlpScalar()
        } else if scanner.equals(name, "gen_ai.usage.output_tokens") {
            attributes.output = try scanner.otlpScalar()
        } else if scanner.equals(name, "gen_ai.usage.cache_read.input_tokens") {
            attributes.cacheRead = try scanner.otlpScalar()
        } else if scanner.equals(name, "gen_ai.usage.cache_write.input_tokens")
            || scanner.equals(name, "gen_ai.usage.cache_creation.input_tokens")
        {
            attributes.cacheWrite = try scanner.otlpScalar()
        } else if scanner.equals(name, "gen_ai.usage.prompt_tokens") {
            let value = try scanner.otlpScalar()
            attributes.input = attributes.input ?? value
        } else if scanner.equals(name, "gen_ai.usage.completion_tokens") {
            let value = try scanner.otlpScalar()
            attributes.output = attributes.output ?? value
        } else if scanner.equals(name, "gen_ai.provider.name") {
            attributes.provider = try string(most: 128)
        } else if scanner.equals(name, "gen_ai.system") {
            attributes.system = try string(most: 128)
        } else if scanner.equals(name, "gen_ai.request.model") {
            attributes.requestModel = try string(most: 256)
        } else if scanner.equals(name, "gen_ai.response.model") {
            attributes.responseModel = try string(most: 256)
        } else if scanner.equals(name, "gen_ai.evaluation.name") {
            attributes.evaluation = try string(most: 128)
        } else if scanner.equals(name, "gen_ai.evaluation.score.value") {
            attributes.score = try scanner.otlpScalar()
        } else if scanner.equals(name, "gen_ai.evaluation.score.label") {
            attributes.label = try string(most: 128)
        } else {
            try scanner.skip()
        }
    }

    mutating func skipped() throws(MalformedJSON) -> UInt64? {
        try scanner.skip()
        return nil
    }

    mutating func text() throws(MalformedJSON) -> JSONScanner.Text? {
        if case .text(let text) = try scanner.otlpScalar() { text } else { nil }
    }

    /// A text of bounded length: a longer one is not ours.
    mutating func string(most: Int) throws(MalformedJSON) -> String? {
        guard let text = try text(), text.count <= most, text.count > 0 else { return nil }
        return scanner.string(text)
    }
}
