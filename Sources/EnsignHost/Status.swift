package import EnsignLedger
package import EnsignModel

/// `<git dir>/ensign/status/<env>.json`: when this clone last completed a reconcile, and how it went.
package struct Status: Sendable, Hashable {
    package var environment: String
    package var time: Timestamp
    /// `ok`, `refused`, `invalid` or `failed`.
    package var result: String
    /// In a sentence of at most 4,000 bytes; empty when all is well.
    package var message: String
    package var source: String?
    package var mode: Entry.Actor.Mode
    /// The last reconcile that was `ok`.
    package var lastSuccess: Timestamp?
    package var visits: Visits

    package init(
        environment: String,
        time: Timestamp,
        result: String,
        message: String,
        source: String?,
        mode: Entry.Actor.Mode,
        lastSuccess: Timestamp?,
        visits: Visits
    ) {
        self.environment = environment
        self.time = time
        self.result = result
        self.message = message.cut(utf8: 4_000)
        self.source = source
        self.mode = mode
        self.lastSuccess = lastSuccess
        self.visits = visits
    }

    package var json: JSONValue {
        [
            "v": 1, "environment": .string(environment), "time": .string(time.description),
            "result": .string(result), "message": .string(message),
            "source": source.map { .string($0) } ?? .null, "mode": .string(mode.rawValue),
            "lastSuccess": Self.json(lastSuccess), "lastWatch": Self.json(visits.watch),
            "lastRun": Self.json(visits.run), "lastTimer": Self.json(visits.timer),
        ]
    }

    private static func json(_ time: Timestamp?) -> JSONValue { time.map { .string($0.description) } ?? .null }
}

extension Status: StateValue {
    package static let kind = StateKind("status/<env>.json", .memory, limit: 1 << 16)

    package init?(_ contents: StateContents) {
        guard let environment = contents["environment"]?.string, let result = contents["result"]?.string,
            let time = contents["time"]?.string.flatMap({ Timestamp($0) })
        else { return nil }
        func moment(_ name: String) -> Timestamp? { contents[name]?.string.flatMap { Timestamp($0) } }
        self.init(
            environment: environment,
            time: time,
            result: result,
            message: contents["message"]?.string ?? "",
            source: contents["source"]?.string,
            mode: contents["mode"]?.string.flatMap { Entry.Actor.Mode(rawValue: $0) } ?? .cli,
            lastSuccess: moment("lastSuccess"),
            visits: Visits(watch: moment("lastWatch"), run: moment("lastRun"), timer: moment("lastTimer"))
        )
    }

    package var contents: StateContents { StateContents(json) }
}
