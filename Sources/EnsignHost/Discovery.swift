package import EnsignGit
import EnsignSystem

/// Whether a repository may be used that was found from a folder, and not named.
///
/// A folder that looks like a git directory can come with any clone, with a configuration of its own: commands in it would
/// run as soon as somebody works in that folder (git(1), `safe.bareRepository`).
package enum Discovery {
    /// Why it is not used.
    package enum Refusal: Error, Sendable, Hashable, CustomStringConvertible {
        /// `safe.bareRepository` is `explicit`.
        case onlyExplicit(String)
        case embedded(String, in: String)

        package var path: String {
            switch self {
            case .onlyExplicit(let path), .embedded(let path, in: _): path
            }
        }

        package var description: String {
            switch self {
            case .onlyExplicit(let path): "\(path) is a bare repository, and safe.bareRepository wants it named"
            case .embedded(let path, let place):
                "\(path) is a bare repository inside the work tree \(place), which may have brought it"
            }
        }
    }

    /// - Parameter directory: Where it was looked for.
    /// - Throws: ``Refusal``.
    package static func check(_ repository: Repository, _ configuration: GitConfiguration, from directory: String)
        throws
    {
        guard let here = Files.canonical(directory), let found = Files.canonical(repository.gitDirectory),
            here == found || here.hasPrefix(found + "/"), !found.split(separator: "/").contains(".git")
        else { return }
        if configuration.protected["safe.barerepository"] == "explicit" { throw Refusal.onlyExplicit(found) }
        guard let parent = Files.parent(of: found) else { return }
        do {
            let outer = try Repository(at: parent)
            if let place = outer.workTree { throw Refusal.embedded(found, in: place) }
        } catch let error as GitError {
            // One that cannot be opened may be the one that brought it.
            if !error.isNotFound { throw Refusal.embedded(found, in: parent) }
        }
    }
}
