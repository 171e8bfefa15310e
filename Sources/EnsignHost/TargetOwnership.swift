import EnsignJSON
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignSystem

/// Whether a directory is an environment's live directory. What is not recorded is removed from one, so a slip in
/// `ensign.<env>.target` must not make one of somebody else's folder.
///
/// It is the environment's own when it is the default one, when it is empty, when it is the very directory that was
/// published to before (`<git dir>/ensign/cache/<env>/target`: device, inode, path), whatever was done to it since, or
/// when its `fleet.json` names the environment.
package struct TargetOwnership {
    private let site: Site
    private let environment: String
    private let path: String

    package init(_ site: Site, _ environment: String) throws {
        self.site = site
        self.environment = environment
        path = try site.settings.directory(environment, site.files)
    }

    /// - Throws: ``ReconcileError/target(_:)`` when it may be somebody else's.
    package func check() throws {
        guard path != site.files.live(environment), let names = try Files.list(path) else { return }
        let foreign = names.filter { !$0.hasPrefix(LivePath.temporaryPrefix) && $0 != "lost+found" }
        guard !foreign.isEmpty, try identity() != remembered() else { return }
        let header = try? Files.read("\(path)/\(LivePath.header)", limit: 65_536)
        let named = header.flatMap { try? JSONParser.parse($0) }?["environment"]?.string
        guard named != environment else { return }
        throw ReconcileError.target(
            named.map { "\(path) is the live directory of '\($0.asPlainName)', not of '\(environment)'" }
                ?? "\(path) is not empty and not a live directory: Ensign would remove what is in it"
        )
    }

    /// Remembers the directory as the environment's own.
    package func remember() throws {
        guard path != site.files.live(environment), let identity = try identity(), identity != remembered() else {
            return
        }
        let place = site.files.ownTarget(environment)
        if let folder = Files.parent(of: place) { try Files.makeDirectories(folder) }
        try Files.replace(place, with: Array(identity.utf8), durable: false)
    }

    private func identity() throws -> String? {
        guard let canonical = Files.canonical(path), let status = try Files.status(canonical) else { return nil }
        return "\(status.device) \(status.inode)\n\(canonical)\n"
    }

    private func remembered() -> String? {
        let bytes = try? Files.readOwn(site.files.ownTarget(environment), limit: 65_536)
        return bytes.map { String(decoding: $0, as: UTF8.self) }
    }
}
