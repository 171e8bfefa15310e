import EnsignGit

/// What a pushed reference means to Ensign.
///
/// Decided by the reference that moves: a symbolic one is only another name for it (`git symbolic-ref`).
package enum PushedRef: Sendable, Hashable {
    /// Of the branch that is desired state.
    case branch
    /// Below `refs/ensign/`: the record, which the host alone writes.
    case record
    /// Below `refs/remotes/`: what a fetch writes. In a clone of a forge the desired state is there.
    case tracking
    /// A branch beside which git cannot have those that Ensign makes, `ensign/rollback/<env>/<team>/<agent>`.
    case obstacle
    /// A chain of symbolic references that does not end.
    case endless
    /// None of Ensign's business.
    case other

    /// - Parameter isDeleted: Whether the push removes it: what is in the way may go.
    package init(_ name: String, isDeleted: Bool, in site: Site) throws {
        guard let moved = try site.repository.finalName(of: name) else {
            self = .endless
            return
        }
        let branch = "refs/heads/\(site.settings.branch)"
        if try moved == site.repository.finalName(of: branch) || moved == branch {
            self = .branch
        } else if moved.hasPrefix("refs/ensign/") {
            self = .record
        } else if moved.hasPrefix("refs/remotes/") {
            self = .tracking
        } else if !isDeleted, Self.isInTheWay(name) {
            self = .obstacle
        } else {
            self = .other
        }
    }

    /// Whether a branch is where git needs a folder for a rollback branch, or the other way round.
    private static func isInTheWay(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        let rollback = ["refs", "heads", "ensign", "rollback"]
        // refs/heads/ensign/rollback/<env>/<team>/<agent>
        return parts.count > 2 && parts.count != 7 && zip(parts, rollback).allSatisfy { $0 == $1 }
    }

    /// Why nobody may push there; nil where it is allowed.
    package func refusal(_ name: String, in site: Site) throws -> String? {
        let moved = try site.repository.finalName(of: name)
        let what = moved == nil || moved == name ? name : "\(name), which is another name of \(moved ?? "")"
        switch self {
        case .record: return "\(what): refused: only the host writes the ledger"
        case .tracking:
            return "\(what): refused: only a fetch writes there, so that nothing gets past the check; push to a branch"
        case .obstacle:
            return "\(what): refused: beside a branch of this name git cannot have Ensign's own, ensign/rollback/...; "
                + "call it something else"
        case .endless: return "\(name): refused: it is symbolic, and what it leads to does not end"
        case .branch, .other: return nil
        }
    }
}
