/// Lasting conditions that are reported once: again only after a change, or after an end and a new start.
package struct SaidOnce: Sendable, Hashable {
    private var said: Set<String> = []

    package init() {}

    /// Takes all current conditions.
    ///
    /// - Returns: Those that were not there the last time.
    package mutating func news(_ lasting: [String]) -> [String] {
        defer { said = Set(lasting) }
        return lasting.filter { !said.contains($0) }
    }

    /// Takes the one current condition, if any.
    package mutating func news(_ sentence: String?) -> String? { news(sentence.map { [$0] } ?? []).first }
}
