import EnsignModel

/// Who promotes from whom.
package struct PromotionChain {
    /// The environment that a new one continues, and why that one.
    package let end: (name: String, why: String)?
    /// Every environment, the first of a chain before those that promote from it.
    package let order: [String]

    package init(_ fleet: Fleet) throws {
        try self.init(fleet, among: Set(fleet.environmentNames()))
    }

    /// - Parameter all: Names to put in order, declared or not; those that are not stand alone.
    package init(_ declared: Fleet, among all: Set<String>) throws {
        let names = all.sorted()
        // Reports no findings.
        let fleet = Fleet(snapshot: declared.snapshot, today: declared.today)
        var sources: [String: String] = [:]
        for name in names { sources[name] = try fleet.environment(name)?.value?.promotesFrom?.value }
        func chain(_ name: String) -> [String] {
            var chain = [name]
            var seen: Set = [name]
            while let source = sources[chain[chain.count - 1]], all.contains(source), seen.insert(source).inserted {
                chain.append(source)
            }
            return chain.reversed()
        }
        // Each depth follows from the one before it; a circle has none.
        var depths: [String: Int] = [:]
        for name in names where depths[name] == nil {
            for (index, link) in chain(name).enumerated() where depths[link] == nil { depths[link] = index }
        }
        order = names.sorted { (depths[$0] ?? 0, $0) < (depths[$1] ?? 0, $1) }
        let promoted = Set(sources.values)
        let ends = names.filter { !promoted.contains($0) }.map(chain)
        guard let longest = ends.max(by: { $0.count < $1.count }), let last = longest.last else {
            end = names.first.map { ($0, "the first by name") }
            return
        }
        let why =
            longest.count == 1
            ? names.count == 1 ? "the only other environment" : "the first of those that nothing promotes from"
            : "the end of \(longest.joined(separator: " -> "))"
        end = (last, why)
    }
}
