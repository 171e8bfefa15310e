package import EnsignLedger
package import EnsignModel
package import EnsignTelemetry

/// How far reading of an environment's telemetry has come.
///
/// Written beside the pipeline's checkpoint, which is large, and within a second when reading falls behind, so that
/// `status` can say it. Without it nothing is known.
package struct TelemetryReading: Sendable, Hashable {
    /// When this was written.
    package var time: Moment
    /// When something was read last; nil for never.
    package var lastRead: Moment?
    /// What was not read yet, and since when there has always been something; nil while everything is read.
    package var behind: Behind?
    /// Files that are not read because there are too many.
    package var unreadFiles: Int
    /// Folders that look binding but are not, in sentences.
    package var problems: [String]

    package struct Behind: Sendable, Hashable {
        package var backlog: TelemetryBacklog
        package var since: Moment

        /// A shorter delay is a burst, and nobody's concern.
        static let burst: Int64 = 1_000_000_000

        package var sentence: String {
            let files = counted(backlog.files, "file")
            let size = backlog.bytes == 0 ? "" : ", \(Self.size(backlog.bytes))"
            return "telemetry is behind: \(files)\(size) not read to the end since \(since.timestamp); "
                + "rules see what is there later"
        }

        private static func size(_ bytes: Int64) -> String {
            let units = ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"]
            var (value, unit) = (Double(bytes), 0)
            while value >= 999.5, unit < units.count - 1 { (value, unit) = (value / 1_000, unit + 1) }
            return value < 9.95 && unit > 0
                ? "\((value * 10).rounded() / 10) \(units[unit])" : "\(Int(value.rounded())) \(units[unit])"
        }
    }

    /// What somebody should look at.
    package var sentences: [String] {
        (behind.map { [$0.sentence] } ?? []) + problems.map { "telemetry: \($0)" }
    }
}

extension TelemetryReading: StateValue {
    package static let kind = StateKind("cache/<env>/reading", .scan, limit: 1 << 16)

    package init?(_ contents: StateContents) {
        guard let time = Self.moment(contents["time"]) else { return nil }
        var behind: Behind?
        if let value = contents["behind"], let files = value["files"]?.int, let bytes = value["bytes"]?.int,
            let since = Self.moment(value["since"]), let count = Int(exactly: files)
        {
            behind = Behind(backlog: TelemetryBacklog(files: count, bytes: bytes), since: since)
        }
        self.init(
            time: time,
            lastRead: Self.moment(contents["lastRead"]),
            behind: behind,
            unreadFiles: contents["unreadFiles"]?.int.flatMap { Int(exactly: $0) } ?? 0,
            problems: (contents["problems"]?.array ?? []).compactMap(\.string)
        )
    }

    package var contents: StateContents { StateContents(json) }

    /// As `status --output json` has it too.
    package var json: JSONValue {
        [
            "v": 1, "time": Self.json(time), "lastRead": lastRead.map(Self.json) ?? .null,
            "behind": behind.map {
                [
                    "files": .integer(Int64($0.backlog.files)), "bytes": .integer($0.backlog.bytes),
                    "since": Self.json($0.since),
                ]
            } ?? .null,
            "unreadFiles": .integer(Int64(unreadFiles)), "problems": .array(problems.map { .string($0) }),
        ]
    }

    private static func json(_ moment: Moment) -> JSONValue { .string(moment.timestamp.description) }

    private static func moment(_ json: JSONValue?) -> Moment? {
        json?.string.flatMap { Timestamp($0) }.map { Moment($0) }
    }
}
