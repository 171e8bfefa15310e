import EnsignCommandLine
import EnsignModel
import EnsignQueries

extension Option {
    static let atTime = Option(
        name: "at",
        summary: "As it was at a time: 2026-11-24T12:00:00Z, 2026-11-24 (its end), or 7d (ago)",
        value: "TIME"
    )

    static let atEntry = Option(name: "entry", summary: "As it was with entry N of the ledger", value: "N")
}

extension Invocation {
    /// What `--at` or `--entry` ask about; the newest entry without both.
    func moment() throws(UsageError) -> LedgerMoment {
        let time = try time("at", endOfDay: true)
        guard let text = self["entry"] else { return time.map { .time($0) } ?? .newest }
        guard time == nil else { throw UsageError(message: "--at and --entry exclude each other", verb: verb.name) }
        guard let number = Int64(text), number >= 0 else {
            throw UsageError(message: "--entry must be the number of an entry", verb: verb.name)
        }
        return .entry(number)
    }

    /// The time that an option names: in UTC, a day, or so long ago.
    ///
    /// - Parameter endOfDay: Whether a day means its last second instead of its first.
    func time(_ option: String, endOfDay: Bool) throws(UsageError) -> Timestamp? {
        guard let text = self[option] else { return nil }
        if let time = Timestamp(text) { return time }
        if CalendarDate(text) != nil, let time = Timestamp("\(text)T\(endOfDay ? "23:59:59" : "00:00:00")Z") {
            return time
        }
        if let span = TimeSpan(text) { return Timestamp(seconds: now.seconds.subtracting(saturating: span.seconds)) }
        throw UsageError(
            message: "'\(text)' is not a time",
            hint: "write 2026-11-24T12:00:00Z, 2026-11-24 or 7d (ago)",
            verb: verb.name
        )
    }
}
