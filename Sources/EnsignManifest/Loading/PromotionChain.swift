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
            while let source = sources[chain[0]], !chain.contains(source), names.contains(source) {
                chain.insert(source, at: 0)
            }
            return chain
        }
        let depth = Dictionary(uniqueKeysWithValues: names.map { ($0, chain($0).count) })
        order = names.sorted { (depth[$0] ?? 0, $0) < (depth[$1] ?? 0, $1) }
        let ends = names.filter { name in !sources.values.contains(name) }.map(chain)
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
