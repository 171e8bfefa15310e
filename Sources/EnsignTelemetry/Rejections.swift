package import EnsignModel

/// Why something in telemetry does not count. The names are stable and listed in docs/telemetry.md.
package enum Rejection: String, Sendable, CaseIterable {
    // Files.
    /// Cannot be opened or read.
    case unreadableFile = "unreadable-file"
    /// More files than are followed at once.
    case tooManyFiles = "too-many-files"

    // Lines.
    /// Not one JSON object with OTLP in it.
    case malformedLine = "malformed-line"
    /// Longer than a line may be.
    case longLine = "long-line"

    // Spans and log records.
    /// A trace or span id that is missing, zero or of the wrong length.
    case badID = "bad-id"
    /// Ends before it starts, or has no times.
    case badTime = "bad-time"
    /// Ended more than ``Attribution/Limits/skewMilliseconds`` after it was read.
    case future
    /// Ended more than ``Attribution/Limits/oldestMilliseconds`` before it was read.
    case stale
    /// Read before.
    case duplicate
    /// Names another environment.
    case otherEnvironment = "other-environment"
    /// In an agent's folder, and names another one.
    case foreignAgent = "foreign-agent"
    /// Names an agent that has a folder, and is elsewhere.
    case boundAgent = "bound-agent"
    /// Names one agent for certain, and the bundle of another one.
    case contradiction
    /// A run of an agent that has no route here.
    case unknownAgent = "unknown-agent"
    /// A run with a bundle that is not a target of its agent's route.
    case unknownBundle = "unknown-bundle"
    /// A run without a bundle, whose version is not in its agent's route.
    case unknownVersion = "unknown-version"
    /// A run without a bundle, whose version belongs to several targets of its agent's route.
    case ambiguousVersion = "ambiguous-version"
    /// Tokens that are negative, not whole, or too many.
    case badUsage = "bad-usage"
    /// A status code that is none: the span counts, and as not failed.
    case badStatus = "bad-status"
    /// Tokens of a model without a price, and the bundle's own has none either: no cost is known.
    case unpriced
    /// A call whose arguments say nothing of it, such as the tool's schema: it cannot be known whether it was repeated.
    case unusableArguments = "unusable-arguments"
    /// An evaluation without a name or a finite score.
    case badEvaluation = "bad-evaluation"
    /// Came after its run was counted.
    case late
    /// Its run never came.
    case orphan
    /// Dropped because more was open than may be.
    case evicted
}

/// How much was rejected, by reason.
package struct Rejections: Sendable, Hashable {
    private var counts: [Rejection: Int64] = [:]

    package init() {}

    package subscript(reason: Rejection) -> Int64 { counts[reason] ?? 0 }

    package var isEmpty: Bool { counts.isEmpty }

    package mutating func add(_ reason: Rejection, _ count: Int64 = 1) {
        guard count > 0 else { return }
        counts[reason] = self[reason].adding(saturating: count)
    }

    package mutating func add(_ other: Rejections) {
        for (reason, count) in other.counts { add(reason, count) }
    }

    /// An object of numbers by reason; reasons that did not occur are left out.
    package var json: JSONValue {
        .object(JSONObject(counts.map { ($0.key.rawValue, .integer($0.value)) }))
    }

    /// Reads the object back; reasons that this version does not know are left out.
    package init(json: JSONValue) {
        for (name, count) in json.object ?? [:] {
            if let reason = Rejection(rawValue: name), let count = count.int { add(reason, count) }
        }
    }
}
