/// What lasts and is said once: until it has changed, or is over and comes again.
package struct SaidOnce: Sendable, Hashable {
    private var said: Set<String> = []

    package init() {}

    /// Takes all that lasts now.
    ///
    /// - Returns: What of it was not there the last time.
    package mutating func news(_ lasting: [String]) -> [String] {
        defer { said = Set(lasting) }
        return lasting.filter { !said.contains($0) }
    }

    /// Takes the one thing that lasts now, if any.
    package mutating func news(_ sentence: String?) -> String? { news(sentence.map { [$0] } ?? []).first }
}
