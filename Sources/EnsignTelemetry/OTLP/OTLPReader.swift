import EnsignModel

/// Walks along one line.
struct OTLPReader {
    var scanner: JSONScanner
    /// How many events there may be.
    private var most = 0
    /// Whether names of spans and scopes are kept, for people.
    let describes: Bool
    /// The name of the scope whose spans are read; nil for none.
    var scope: JSONScanner.Text?

    init(_ bytes: UnsafeRawBufferPointer, from start: Int = 0, describing describes: Bool = false) {
        scanner = unsafe JSONScanner(bytes, from: start)
        self.describes = describes
    }

    /// What a resource says of all its spans and records.
    struct Resource {
        var claim = Claim()
        var environment: String?
        /// `service.name`, where names are read.
        var service: String?
        /// `ensign.run`, of a process for each run.
        var run: String?
        /// `ensign.gateway`, of a gateway's process.
        var isGateway = false
    }

    /// A place that can only be read when something behind it is known: JSON members may come in any order.
    typealias Place = Int

    mutating func readLine(
        into events: inout [TelemetryEvent],
        rejections: inout Rejections
    ) throws(MalformedJSON) {
        guard scanner.peek() != nil else { return }
        most = events.count + OTLPLine.most
        let start = scanner.index
        try scanner.beginObject()
        var isFirst = true
        var isKnown = false
        var bare: (scopes: StaticString, items: Items)?
        while let key = try scanner.nextKey(&isFirst) {
            if scanner.peek() != UInt8(ascii: "[") {
                try scanner.skip()
            } else if scanner.equals(key, "resourceSpans") {
                isKnown = true
                try readResources("scopeSpans", .spans, &events, &rejections)
            } else if scanner.equals(key, "resourceLogs") {
                isKnown = true
                try readResources("scopeLogs", .logRecords, &events, &rejections)
            } else if scanner.equals(key, "scopeSpans") {
                bare = ("scopeSpans", .spans)
                try scanner.skip()
            } else if scanner.equals(key, "scopeLogs") {
                bare = ("scopeLogs", .logRecords)
                try scanner.skip()
            } else {
                // Metrics say nothing that spans do not say better: a counter cannot be attributed to a run.
                isKnown = isKnown || scanner.equals(key, "resourceMetrics") || scanner.equals(key, "scopeMetrics")
                try scanner.skip()
            }
        }
        // One resource with nothing around it, as Java's logging exporters write them.
        if !isKnown, let bare {
            isKnown = true
            scanner.rewind(to: start)
            try readResource(with: bare.scopes, bare.items, &events, &rejections)
        }
        guard isKnown, scanner.peek() == nil else { throw MalformedJSON(offset: scanner.index) }
    }

    /// What a scope has a list of.
    enum Items {
        case spans, logRecords

        var key: StaticString {
            switch self {
            case .spans: "spans"
            case .logRecords: "logRecords"
            }
        }
    }

    mutating func readResources(
        _ scopes: StaticString,
        _ items: Items,
        _ events: inout [TelemetryEvent],
        _ rejections: inout Rejections
    ) throws(MalformedJSON) {
        try scanner.beginArray()
        var isFirst = true
        while try scanner.nextElement(&isFirst) {
            try readResource(with: scopes, items, &events, &rejections)
        }
    }

    /// Reads one resource and what belongs to it.
    private mutating func readResource(
        with scopes: StaticString,
        _ items: Items,
        _ events: inout [TelemetryEvent],
        _ rejections: inout Rejections
    ) throws(MalformedJSON) {
        var resource: Resource?
        var waiting: [Place] = []
        try scanner.beginObject()
        var isFirstKey = true
        while let key = try scanner.nextKey(&isFirstKey) {
            let next = scanner.peek()
            if scanner.equals(key, "resource"), next == UInt8(ascii: "{") {
                resource = try readResource()
            } else if scanner.equals(key, scopes), next == UInt8(ascii: "[") {
                if let resource {
                    try readScopes(items, resource, &events, &rejections)
                } else {
                    waiting.append(scanner.index)
                    try scanner.skip()
                }
            } else {
                try scanner.skip()
            }
        }
        let end = scanner.index
        for place in waiting {
            scanner.rewind(to: place)
            try readScopes(items, resource ?? Resource(), &events, &rejections)
        }
        scanner.rewind(to: end)
    }

    mutating func readScopes(
        _ items: Items,
        _ resource: Resource,
        _ events: inout [TelemetryEvent],
        _ rejections: inout Rejections
    ) throws(MalformedJSON) {
        try scanner.beginArray()
        var isFirst = true
        while try scanner.nextElement(&isFirst) {
            scope = nil
            var isScopeKnown = false
            var waiting: [Place] = []
            try scanner.beginObject()
            var isFirstKey = true
            while let key = try scanner.nextKey(&isFirstKey) {
                if scanner.equals(key, "scope"), scanner.peek() == UInt8(ascii: "{") {
                    try readScopeName()
                    isScopeKnown = true
                } else if scanner.equals(key, items.key), scanner.peek() == UInt8(ascii: "[") {
                    if isScopeKnown {
                        try readItems(items, resource, &events, &rejections)
                    } else {
                        waiting.append(scanner.index)
                        try scanner.skip()
                    }
                } else {
                    try scanner.skip()
                }
            }
            let end = scanner.index
            for place in waiting {
                scanner.rewind(to: place)
                try readItems(items, resource, &events, &rejections)
            }
            scanner.rewind(to: end)
        }
    }

    private mutating func readItems(
        _ items: Items,
        _ resource: Resource,
        _ events: inout [TelemetryEvent],
        _ rejections: inout Rejections
    ) throws(MalformedJSON) {
        try scanner.beginArray()
        var isFirst = true
        while try scanner.nextElement(&isFirst) {
            guard events.count < most else { throw MalformedJSON(offset: scanner.index) }
            switch items {
            case .spans: try readSpan(resource, &events, &rejections)
            case .logRecords: try readLogRecord(resource, &events, &rejections)
            }
        }
    }

    private mutating func readScopeName() throws(MalformedJSON) {
        try scanner.beginObject()
        var isFirst = true
        while let member = try scanner.nextKey(&isFirst) {
            if scanner.equals(member, "name"), scanner.peek() == UInt8(ascii: "\"") {
                scope = try scanner.text()
            } else {
                try scanner.skip()
            }
        }
    }

    /// Whether the spans at hand are those of an instrumentation.
    func isScope(_ name: StaticString) -> Bool { scope.map { scanner.equals($0, name) } ?? false }
}
