import EnsignGit
import EnsignLedger
package import EnsignModel
import EnsignSystem

/// The newest tree that was found to have no errors, so that the next push pays for what it changes.
///
/// A cache, `<git dir>/ensign/cache/valid`. What it says is about content alone: it stays true whatever becomes of the
/// push that it was found with. Another version of Ensign may check more, and starts anew.
package struct ValidTree {
    private let site: Site
    private let version: String

    package init(site: Site, version: String) {
        self.site = site
        self.version = version
    }

    /// Checks a tree: what changed since the newest valid one, or all of it.
    ///
    /// Errors are complete. Warnings are those about the agents that changed.
    package func validate(_ tree: ObjectID, today: CalendarDate) throws -> FleetValidation {
        let result = try check(tree, today: today)
        if result.errors == 0 { remember(tree) }
        return result
    }

    private func check(_ tree: ObjectID, today: CalendarDate) throws -> FleetValidation {
        if let known = known(), site.repository.contains(known),
            case .some(let agents, let shared) = try AffectedAgents.between(known, tree, repository: site.repository)
        {
            return try FleetValidation.run(
                try site.snapshots(of: tree)(),
                agents: agents,
                shared: !shared.isEmpty,
                today: today
            )
        }
        return try FleetValidation.run(site.snapshots(of: tree), today: today)
    }

    private func known() -> ObjectID? {
        // A cache that cannot be read is none.
        guard let bytes = try? Files.read(site.files.validTree, limit: 1_024) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard lines.count == 2, lines[1] == version else { return nil }
        return ObjectID(lines[0])
    }

    private func remember(_ tree: ObjectID) {
        // Who pushes may not be allowed to write here; then the next push checks the whole fleet again.
        try? Files.makeDirectories(site.files.cache)
        try? Files.replace(site.files.validTree, with: Array("\(tree)\n\(version)\n".utf8), durable: false)
    }
}
