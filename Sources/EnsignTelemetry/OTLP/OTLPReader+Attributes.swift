import EnsignModel

extension OTLPReader {
    /// Everything that is read of an item's attributes.
    struct Attributes {
        var operation: JSONScanner.Text?
        /// The kind of span in OpenInference's words, and in Traceloop's.
        var openKind: JSONScanner.Text?
        var loopKind: JSONScanner.Text?
        var requestType: JSONScanner.Text?
        var claim = Claim()
        /// A bundle and a name in what a framework passes on to its spans: they count where there is no other.
        var carried = Claim()
        /// The same that came with W3C baggage, from whoever asked.
        var baggage = Claim()
        var openAgent: String?
        var environment: String?
        /// The same by its older name.
        var oldEnvironment: String?
        var service: String?
        /// `ensign.run`: the run's name.
        var run: String?
        /// `ensign.gateway`: whether a gateway wrote it.
        var isGateway = false
        /// `ensign.verdict` and `ensign.reason`: what a gateway decided, and why.
        var verdict: JSONScanner.Text?
        var reason: JSONScanner.Text?
        /// `ensign.arguments`: a text that is equal for equal arguments.
        var mark: JSONScanner.Text?
        /// The session's key: what Ensign's client writes, and what the conventions have.
        var session: JSONScanner.Text?
        var conversation: JSONScanner.Text?
        var tool: String?
        var openTool: String?
        var entity: String?
        /// Where arguments are: which of them count is known when the whole span is read.
        var arguments: Place?
        var openInput: Place?
        var entityInput: Place?
        var runnerArguments: Place?
        var prompt: Place?
        var parameters: Place?
        /// `content` of an event, and that of the event `gen_ai.tool.message`.
        var content: Place?
        var message: Place?
        /// The Vercel AI SDK's words for what a span is, and for a call.
        var sdkOperation: JSONScanner.Text?
        var sdkTool: String?
        var sdkArguments: Place?
        /// What Logfire's instrumentation of OpenAI's agents gives for a function.
        var functionName: String?
        var functionInput: Place?
        var errorType: JSONScanner.Text?
        var method: JSONScanner.Text?
        var provider: String?
        var system: String?
        var requestModel: String?
        var responseModel: String?
        var openProvider: String?
        var openSystem: String?
        var openModel: String?
        var input: OTLPScalar?
        var output: OTLPScalar?
        var cacheRead: OTLPScalar?
        var cacheWrite: OTLPScalar?
        /// The same in other words than the conventions'.
        var otherInput: OTLPScalar?
        var otherOutput: OTLPScalar?
        var otherCacheRead: OTLPScalar?
        var otherCacheWrite: OTLPScalar?
        /// `crewai.crew.token_usage`.
        var crewUsage: JSONScanner.Text?
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
        return Resource(
            claim: attributes.ownClaim,
            environment: attributes.environment ?? attributes.oldEnvironment,
            service: attributes.service,
            run: attributes.run,
            isGateway: attributes.isGateway
        )
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
        guard name.count > 0 else { return try scanner.skip() }
        switch name.hasEscapes ? scanner.string(name).utf8.first ?? 0 : scanner.byte(name, at: 0) {
        case UInt8(ascii: "g") where scanner.hasPrefix(name, "gen_ai."): try readConvention(name, &attributes)
        case UInt8(ascii: "l") where scanner.hasPrefix(name, "llm."): try readModelAttribute(name, &attributes)
        case UInt8(ascii: "a") where scanner.hasPrefix(name, "ai."): try readSDKAttribute(name, &attributes)
        case UInt8(ascii: "t"), UInt8(ascii: "o"), UInt8(ascii: "i"), UInt8(ascii: "a"), UInt8(ascii: "b"):
            try readOtherConvention(name, &attributes)
        case UInt8(ascii: "m"): try readMetadata(name, &attributes)
        case UInt8(ascii: "n") where scanner.equals(name, "name") && isScope("logfire.openai_agents"):
            attributes.functionName = try string(most: 256)
        case UInt8(ascii: "c") where scanner.equals(name, "crewai.crew.token_usage"):
            attributes.crewUsage = try text()
        case UInt8(ascii: "c") where scanner.equals(name, "content"): attributes.content = try place()
        case UInt8(ascii: "s"):
            if describes, scanner.equals(name, "service.name") {
                attributes.service = try string(most: 256)
            } else {
                try scanner.skip()
            }
        default: try readOwn(name, &attributes)
        }
    }

    /// Names that are not those of one convention of instrumentations.
    private mutating func readOwn(
        _ name: JSONScanner.Text,
        _ attributes: inout Attributes
    ) throws(MalformedJSON) {
        if scanner.equals(name, "ensign.bundle") {
            attributes.claim.bundle = try string(most: 128)
        } else if scanner.equals(name, "ensign.agent") {
            attributes.claim.named = try string(most: 256)
        } else if scanner.equals(name, "ensign.session") {
            attributes.session = try text()
        } else if scanner.equals(name, "ensign.run") {
            attributes.run = try string(most: 256)
        } else if scanner.equals(name, "ensign.gateway") {
            if case .bool(let isGateway) = try scanner.otlpScalar() { attributes.isGateway = isGateway }
        } else if scanner.equals(name, "ensign.arguments") {
            attributes.mark = try text()
        } else if scanner.equals(name, "ensign.verdict") {
            attributes.verdict = try text()
        } else if scanner.equals(name, "ensign.reason") {
            attributes.reason = try text()
        } else if scanner.equals(name, "error.type") {
            attributes.errorType = try text()
        } else if scanner.equals(name, "deployment.environment.name") {
            attributes.environment = try string(most: 128)
        } else if scanner.equals(name, "deployment.environment") {
            attributes.oldEnvironment = try string(most: 128)
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
            attributes.arguments = try place()
        } else if scanner.equals(name, "gen_ai.prompt") {
            attributes.prompt = try place()
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
            attributes.otherInput = try scanner.otlpScalar()
        } else if scanner.equals(name, "gen_ai.usage.completion_tokens") {
            attributes.otherOutput = try scanner.otlpScalar()
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

    /// Passes over a value that may be read later.
    mutating func place() throws(MalformedJSON) -> Place {
        _ = scanner.peek()
        let start = scanner.index
        try scanner.skip()
        return start
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
