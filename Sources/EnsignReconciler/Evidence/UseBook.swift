import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignSystem

/// The operations that agents were seen to call since this process began to read telemetry, and what of that is not written.
///
/// What is on the disk is not loaded: it is merged when something new is written, so that an agent costs nothing until it
/// calls something for the first time in a day.
struct UseBook {
    private var seen: [AgentID: OperationUse] = [:]
    private var news = News()

    /// What is to be written.
    struct News: Sendable {
        var uses: [AgentID: OperationUse] = [:]
        var days = WatchedDays()
        /// The first day of all that was seen.
        var first: Day?

        var isEmpty: Bool { uses.isEmpty && days.ranges.isEmpty }
    }

    private var known = WatchedDays()
    /// Days of which something was read, while not everything is.
    private var begun = WatchedDays()

    /// The most agents that are kept in memory; after that, what was seen is only written once more.
    private static let most = 50_000

    /// Notes a call of an agent.
    ///
    /// - Parameter operations: All granted ones, `<tool>.<operation>`, that its name can mean.
    mutating func note(_ name: String, _ operations: [String], by agent: AgentID, on day: Day) {
        if seen.count > Self.most { seen = [:] }
        guard seen[agent, default: OperationUse()].note(name, operations, day) else { return }
        _ = news.uses[agent, default: OperationUse()].note(name, operations, day)
        news.first = min(news.first ?? day, day)
    }

    /// Notes a day of which some telemetry was read. It counts once everything is read: there may be more of it.
    mutating func happened(_ day: Day) {
        if !known.contains(day) { begun.insert(day) }
    }

    /// Notes that everything was read that there is.
    mutating func completed(_ today: Day) {
        var days = begun
        days.insert(today)
        begun = WatchedDays()
        for range in days.ranges where !(known.contains(range.lowerBound) && known.contains(range.upperBound)) {
            var day = range.lowerBound
            while day <= range.upperBound {
                if known.insert(day) { news.days.insert(day) }
                day = day.advanced(by: 1)
            }
        }
    }

    var hasNews: Bool { !news.isEmpty }

    /// Hands over what is to be written.
    mutating func takeNews() -> News {
        defer { news = News() }
        return news
    }

    /// Takes back what could not be written.
    mutating func putBack(_ news: News) {
        for (agent, use) in news.uses { self.news.uses[agent, default: OperationUse()].formUnion(use) }
        self.news.days.formUnion(news.days)
        self.news.first = [self.news.first, news.first].compactMap { $0 }.min()
    }
}

extension UseBook.News {
    /// Writes it, each file only if it changes.
    ///
    /// - Throws: When a file cannot be read or written: what was known before must not be lost.
    func write(_ files: LedgerFiles, _ environment: String) throws {
        let daysFile = StateFile<WatchedDays>(files, environment)
        let knownDays = try daysFile.read()
        var all = knownDays ?? WatchedDays()
        all.formUnion(days)
        for (team, agents) in Dictionary(grouping: uses, by: \.key.team).sorted(by: { $0.key < $1.key }) {
            let file = StateFile<TeamUse>(files, environment, part: team)
            let before = try file.read()
            var use = try before ?? TeamUse(since: since(file, all))
            use.formUnion(Dictionary(uniqueKeysWithValues: agents.map { ($0.key, $0.value) }))
            if use != before { try file.write(use) }
        }
        if all != knownDays, !all.ranges.isEmpty { try daysFile.write(all) }
    }

    /// Since when the calls of a team are known that has no file yet: as long as telemetry is, without a call of it. What
    /// was damaged knew more, so it begins anew.
    private func since(_ file: StateFile<TeamUse>, _ days: WatchedDays) throws -> Day {
        guard let first else { return Day(number: 0) }
        guard try file.written() == nil else { return first }
        return days.since(upTo: first) ?? first
    }
}
