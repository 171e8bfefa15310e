import EnsignJSON
package import EnsignModel
import EnsignSystem

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

    /// Reads a status file; nil when there is none that can be read.
    package static func read(_ path: String) throws -> Status? {
        guard let bytes = try Files.readOwn(path, limit: 1 << 16), let json = try? JSONParser.parse(bytes),
            let environment = json["environment"]?.string,
            let time = json["time"]?.string.flatMap({ Timestamp($0) }), let result = json["result"]?.string
        else { return nil }
        func moment(_ name: String) -> Timestamp? { json[name]?.string.flatMap { Timestamp($0) } }
        return Status(
            environment: environment,
            time: time,
            result: result,
            message: json["message"]?.string ?? "",
            source: json["source"]?.string,
            mode: json["mode"]?.string.flatMap { Entry.Actor.Mode(rawValue: $0) } ?? .cli,
            lastSuccess: moment("lastSuccess"),
            visits: Visits(watch: moment("lastWatch"), run: moment("lastRun"), timer: moment("lastTimer"))
        )
    }

    package func write(_ path: String) throws {
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        try Files.replace(path, with: json.canonicalBytes() + [0x0A], durable: false)
    }
}
