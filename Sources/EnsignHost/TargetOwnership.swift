import EnsignJSON
package import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignSystem

/// Whether a directory is an environment's live directory. Ensign removes what is not recorded from one, so a typo in
/// `ensign.<env>.target` must not make one of somebody else's folder.
///
/// It is the environment's own when it is the default one, when it is empty, when it is the very directory of an
/// earlier publication (``OwnTarget``), whatever was done to it since, or when its `fleet.json` names the environment.
package struct TargetOwnership: Sendable {
    private let files: LedgerFiles
    private let environment: String
    private let path: String

    package init(_ site: Site, _ environment: String) throws {
        files = site.files
        self.environment = environment
        path = try site.settings.directory(environment, site.files)
    }

    /// - Throws: ``ReconcileError/target(_:)`` when it may be somebody else's.
    package func check() throws {
        switch try owner() {
        case .own: return
        case .environment(let named):
            throw ReconcileError.target(
                "\(path) is the live directory of '\(named.asPlainName)', not of '\(environment)'"
            )
        case .within(let folder, let named):
            throw ReconcileError.target(
                "\(path) is in \(folder), the live directory of '\(named.asPlainName)', which removes what it did not publish"
            )
        case .unknown:
            throw ReconcileError.target(
                "\(path) is not empty and not a live directory: Ensign would remove what is in it"
            )
        }
    }

    package enum Owner: Hashable, Sendable {
        case own
        /// Its `fleet.json` names another environment.
        case environment(String)
        /// It lies in a live directory, of the environment that is named.
        case within(String, String)
        case unknown
    }

    package func owner() throws -> Owner {
        guard try !isDefault() else { return .own }
        // Also when it is known from an earlier publication: the other one may have come since.
        if let outer = outer() { return outer }
        guard let names = try Files.list(path) else { return .own }
        let foreign = names.filter { !$0.hasPrefix(LivePath.temporaryPrefix) && $0 != "lost+found" }
        guard !foreign.isEmpty, try identity() != file.known() else { return .own }
        guard let named = Self.environment(at: path) else { return .unknown }
        return named == environment ? .own : .environment(named)
    }

    /// The environment that a directory's header names; nil also for other files of that name.
    private static func environment(at folder: String) -> String? {
        guard let header = try? Files.read("\(folder)/\(LivePath.header)", limit: 65_536),
            let value = try? JSONParser.parse(header), value["v"]?.int != nil, value["entry"]?.object != nil
        else { return nil }
        return value["environment"]?.string
    }

    /// Another environment's live directory that this one is or lies in: one that says so, or the place that an
    /// environment has by default, published or not.
    private func outer() -> Owner? {
        guard Self.environment(at: path) != environment else { return nil }
        // As far as it is there, without links and `..`.
        var folder = path
        while Files.canonical(folder) == nil, let parent = Files.parent(of: folder), parent != folder {
            folder = parent
        }
        guard let there = Files.canonical(folder) else { return nil }
        let places = Files.canonical(files.liveFolder) ?? files.liveFolder
        var place = there + path.dropFirst(folder.count)
        var isOuter = false
        while let parent = Files.parent(of: place), parent != place {
            if parent == places, place != "\(parent)/\(environment)" {
                let name = String(place.dropFirst(parent.count + 1))
                return isOuter ? .within(place, name) : .environment(name)
            }
            if isOuter, let named = Self.environment(at: place), named != environment { return .within(place, named) }
            (place, isOuter) = (parent, true)
        }
        return nil
    }

    /// Makes the directory and remembers it, before the first file is in it: whatever dies then, the next run knows it
    /// again.
    package func claim() throws {
        guard try !isDefault() else { return }
        try Files.makeDirectories(path)
        try remember()
    }

    /// Remembers the directory as the environment's own.
    package func remember() throws {
        guard try !isDefault(), let identity = try identity(), identity != file.known() else {
            return
        }
        try file.write(identity)
    }

    /// Whether it is the folder in the git directory itself. A symbolic link in its place leads to somebody's folder, as
    /// any other setting may.
    private func isDefault() throws -> Bool {
        guard path == files.live(environment) else { return false }
        return try [path, Files.parent(of: path)].compactMap { $0 }.allSatisfy {
            try Files.status($0)?.kind != .symlink
        }
    }

    private var file: StateFile<OwnTarget> { StateFile(files, environment) }

    private func identity() throws -> OwnTarget? {
        guard let canonical = Files.canonical(path), let status = try Files.status(canonical) else { return nil }
        return OwnTarget(device: status.device, inode: status.inode, path: canonical)
    }
}

/// The very directory of an environment's last publication.
package struct OwnTarget: Hashable, Sendable {
    package var device: UInt64
    package var inode: UInt64
    /// Without symbolic links.
    package var path: String

    package init(device: UInt64, inode: UInt64, path: String) {
        self.device = device
        self.inode = inode
        self.path = path
    }
}

extension OwnTarget: StateValue {
    package static let kind = StateKind(
        "state/<env>/target",
        .memory,
        limit: 65_536,
        isDurable: true,
        formerly: "cache/<env>/target"
    )

    package init?(_ contents: StateContents) {
        guard let device = contents["device"]?.string.flatMap({ UInt64($0) }),
            let inode = contents["inode"]?.string.flatMap({ UInt64($0) }), let path = contents["path"]?.string
        else { return nil }
        self.init(device: device, inode: inode, path: path)
    }

    /// Of 0.1.0: `<device> <inode>` and a line with the path.
    package init?(former bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.firstIndex(of: "\n"), text.last == "\n", text.index(after: end) < text.endIndex else {
            return nil
        }
        let numbers = text[..<end].split(separator: " ")
        guard numbers.count == 2, let device = UInt64(numbers[0]), let inode = UInt64(numbers[1]) else { return nil }
        self.init(device: device, inode: inode, path: String(text[text.index(after: end)...].dropLast()))
    }

    // Numbers of 64 bits are texts: JSON has no unsigned ones.
    package var contents: StateContents {
        StateContents(["device": .string("\(device)"), "inode": .string("\(inode)"), "path": .string(path)])
    }
}
