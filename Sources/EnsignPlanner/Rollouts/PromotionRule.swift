package import EnsignModel

/// What is known of an artifact in the environment that it comes from.
package enum SourceRecord: Sendable, Hashable {
    /// `entry`: the newest entry that was looked at.
    case record(StableRecord, entry: ObjectID)
    /// Nothing can be said, and why.
    case unknown(String)
}

/// Whether a version may come in.
package enum PromotionVerdict: Sendable, Hashable {
    /// In this period it was stable long enough.
    case proven(StablePeriod, source: String, entry: ObjectID)
    /// An operator lets it in.
    case overridden(SoakOverride)
    /// Not yet: until when, if time alone can bring it; and why, in words.
    case waits(until: Timestamp?, why: String)
}

extension PromotionRule {
    /// Decides from the record of the environment that the version comes from. Pure.
    package func verdict(_ version: AgentVersion, _ record: SourceRecord, now: Timestamp) -> PromotionVerdict {
        let (known, entry): (StableRecord, ObjectID)
        switch record {
        case .unknown(let why): return .waits(until: nil, why: why)
        case .record(let record, let newest): (known, entry) = (record, newest)
        }
        if let period = known.periods.first(where: { $0.length(at: now) >= soak }) {
            return .proven(period, source: source, entry: entry)
        }
        guard let present = known.periods.first, present.until == nil else {
            let why = known.flaw.map { "'\(source)' \($0)" } ?? "\(version) is not stable in '\(source)'"
            return .waits(until: nil, why: why)
        }
        let until = present.since.advanced(seconds: soak)
        let why =
            "soak until \(until): \(version) has been stable in '\(source)' since \(present.since), and \(TimeSpan.short(milliseconds: soak * 1_000)) are asked for"
        return .waits(until: until, why: why)
    }
}

extension PromotionVerdict {
    /// Adds to the evidence of the change that brings the version: as data, and in words for the log.
    func tell(_ evidence: inout Evidence) {
        var words: String
        switch self {
        case .waits: return
        case .proven(let period, let source, let entry):
            evidence.soak = Evidence.Soak(environment: source, entry: entry, since: period.since)
            words = "stable in '\(source)' since \(period.since)"
        case .overridden(let override):
            evidence.override = Evidence.Override(reason: override.reason)
            words = "without its soak, by \(override.by): \(override.reason)"
        }
        if let reason = evidence.reason { words = "\(reason); \(words)" }
        evidence.reason = words.cut(utf8: 500)
    }
}
