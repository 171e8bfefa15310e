import EnsignModel

/// Who may keep a connection open where there is not room for everybody's. Pure.
///
/// Two rules, so that nobody keeps others out, whatever they open. Of those that have not proven who they are, one account or
/// address keeps only so many, and the one that has waited longest gives way to the next. Where no place is left, whoever
/// holds the most gives up the one that has waited longest. What is busy never gives way.
struct ConnectionPlaces: Sendable {
    /// Who has a place.
    enum Holder: Hashable, Sendable {
        /// An account of this machine, which has not proven more.
        case account(UInt32)
        /// Another machine, which has not proven more.
        case address(String)
        case agent(AgentID)
    }

    private struct Place: Sendable {
        var holder: Holder
        var isProven = false
        var since: ContinuousClock.Instant
    }

    /// How many there are.
    let most: Int
    /// How many of them one account or address has without proof.
    let mostUnproven: Int

    private var places: [Int: Place] = [:]

    init(_ most: Int) {
        self.most = most
        mostUnproven = max(most / 4, 1)
    }

    var count: Int { places.count }

    /// Takes a place.
    ///
    /// - Parameters:
    ///   - number: Nobody else's.
    ///   - isBusy: Whether a connection must not be ended now.
    /// - Returns: Those that have lost theirs, and must be ended: `number` among them where all are busy.
    mutating func enter(
        _ number: Int,
        _ holder: Holder,
        now: ContinuousClock.Instant,
        isBusy: (Int) -> Bool
    ) -> [Int] {
        var ended: [Int] = []
        let own = places.filter { !$0.value.isProven && $0.value.holder == holder }
        if own.count >= mostUnproven, let oldest = Self.oldest(own, isBusy) { ended.append(oldest) }
        for number in ended { places[number] = nil }
        if places.count >= most {
            guard let last = largest(isBusy) else { return ended + [number] }
            places[last] = nil
            ended.append(last)
        }
        places[number] = Place(holder: holder, since: now)
        return ended
    }

    /// Takes note of who it is.
    mutating func prove(_ number: Int, _ agent: AgentID) {
        places[number]?.holder = .agent(agent)
        places[number]?.isProven = true
    }

    /// Whether somebody has said who it is.
    func isProven(_ number: Int) -> Bool { places[number]?.isProven ?? false }

    /// Takes note that it has just been of use.
    mutating func touch(_ number: Int, now: ContinuousClock.Instant) { places[number]?.since = now }

    mutating func leave(_ number: Int) { places[number] = nil }

    /// The oldest one of whoever holds the most.
    private func largest(_ isBusy: (Int) -> Bool) -> Int? {
        let holders = Dictionary(grouping: places) { $0.value.holder }.values.sorted { $0.count > $1.count }
        for own in holders {
            if let oldest = Self.oldest(Dictionary(uniqueKeysWithValues: own.map { ($0.key, $0.value) }), isBusy) {
                return oldest
            }
        }
        return nil
    }

    private static func oldest(_ places: [Int: Place], _ isBusy: (Int) -> Bool) -> Int? {
        places.filter { !isBusy($0.key) }.min { ($0.value.since, $0.key) < ($1.value.since, $1.key) }?.key
    }
}
