package import EnsignModel

/// Lets each session count once for each metric and version: with its first sample.
///
/// The judge's tests assume that samples do not depend on each other, and the turns of one conversation do. The first
/// one needs no waiting for a session's end, and whether it counts does not depend on how it went. A mean over what has
/// been read would be another quantity for sessions that were read in one go than for those that were read in two.
package struct SessionWindow: Sendable, Hashable {
    /// The newest sessions that counted, as hashes of session, version and metric; the oldest first.
    private var newest: [UInt64] = []
    private var known: Set<UInt64> = []
    /// Samples that were left out, and samples that named no session.
    package private(set) var repeats: Int64 = 0
    package private(set) var unnamed: Int64 = 0

    /// The most that are remembered. A session that comes back after so many others counts again.
    package static let limit = 2_048

    package init() {}

    /// Takes a sample of a metric by its index in the analysis.
    ///
    /// - Returns: Whether it counts.
    package mutating func admits(_ sample: Sample, metricAt index: Int) -> Bool {
        guard let session = sample.session else {
            unnamed = unnamed == .max ? unnamed : unnamed + 1
            return true
        }
        // The candidate's digest and the stable one differ, and so do their first eight bytes.
        let version = sample.bundle.hex.utf8.prefix(16).reduce(UInt64(0)) { $0 &* 31 &+ UInt64($1) }
        let key = (session ^ version) &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(index)
        guard known.insert(key).inserted else {
            repeats = repeats == .max ? repeats : repeats + 1
            return false
        }
        newest.append(key)
        if newest.count > Self.limit { known.remove(newest.removeFirst()) }
        return true
    }

    /// What readers should know, in sentences.
    package var notes: [String] {
        var notes: [String] = []
        if repeats > 0 {
            notes.append(
                "\(counted(repeats, "sample")) of sessions that had counted before left out: each session counts once"
            )
        }
        if unnamed > 0 {
            notes.append(
                "\(counted(unnamed, "sample")) without a session (ensign.session, gen_ai.conversation.id): their runs "
                    + "must not depend on each other, or wrong verdicts are more frequent than promised"
            )
        }
        return notes
    }

    package var json: JSONValue {
        [
            .integer(repeats), .integer(unnamed),
            .array(newest.map { .integer(Int64(bitPattern: $0)) }),
        ]
    }

    package init?(json: JSONValue) {
        guard let repeats = json[0]?.int, repeats >= 0, let unnamed = json[1]?.int, unnamed >= 0,
            let values = json[2]?.array, values.count <= Self.limit
        else { return nil }
        (self.repeats, self.unnamed) = (repeats, unnamed)
        newest = values.compactMap { $0.int.map { UInt64(bitPattern: $0) } }
        known = Set(newest)
        guard newest.count == values.count, known.count == newest.count else { return nil }
    }
}
