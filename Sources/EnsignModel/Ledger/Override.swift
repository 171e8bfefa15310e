/// A person's decision to let something past one of Ensign's own guards, as an entry's reason records it after the
/// run's purpose: `sync; allow-prune by ada@fleet-1: the old desk is closed`.
package struct Override: Sendable, Hashable {
    /// What was let past, as the command line names it.
    package var name: String
    package var by: String
    /// Why, in their words; nil when they gave no reason.
    package var reason: String?

    /// The most bytes of the reason that are kept: an entry has to fit.
    package static let reasonLimit = 500

    package init(name: String, by: String, reason: String?) {
        self.name = name
        self.by = by
        self.reason = reason
    }

    /// The words in an entry.
    package var words: String {
        let why = (reason ?? "").cut(utf8: Self.reasonLimit)
        return "\(name) by \(by.cut(utf8: Self.reasonLimit))" + (why.isEmpty ? "" : ": \(why)")
    }
}
