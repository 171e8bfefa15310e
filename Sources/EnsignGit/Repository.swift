import CGit2
import EnsignModel

/// An open git repository.
///
/// One thread at a time: libgit2's handles are not for concurrent use, so the type is not `Sendable` and each thread
/// opens its own. Opening takes 0.2 ms.
@safe
package final class Repository {
    let handle: OpaquePointer
    let objects: OpaquePointer
    /// How to open it again on another thread.
    package let opening: Opening
    /// Recently read trees, up to ``maxRememberedBytes`` in total.
    private(set) var trees: [ObjectID: TreeObject] = [:]
    private var rememberedBytes = 0
    /// What git adds to the modes of what is written here; nil when nothing.
    private(set) lazy var sharedMode = SharedMode((try? configuration())?["core.sharedrepository"])
    /// The root of the work tree, ending in `/`; nil in a bare repository.
    package private(set) lazy var workTree = findWorkTree()
    /// Whether trees must hold nothing but ordinary files and folders, as those that Ensign writes do.
    package var wantsPlainTrees = false
    private static let maxRememberedBytes = 4 << 20

    /// libgit2 is started once for the process and never shut down.
    private static let library: Int32 = {
        let status = git_libgit2_init()
        // Ensign syncs what it writes itself, in batches: see ``ObjectWriter``.
        _ = cgit2_set_fsync_gitdir(0)
        // Trees are kept here, bounded (``remember(_:_:)``); everything else is read once.
        _ = cgit2_set_caching(0)
        // What is mapped of packs counts as this process's memory.
        _ = cgit2_set_windows(2 << 20, 16 << 20)
        // Checked on reading, where it is known which objects need no check: see ``withObject(_:_:proof:_:)``.
        _ = cgit2_set_strict_hash_verification(0)
        // ``workTree`` and the host's settings see to what libgit2 does not read.
        _ = cgit2_allow_worktree_config()
        return status
    }()

    /// Opens the repository that contains `path`: a work tree, a linked work tree, a git directory, or a bare one.
    ///
    /// - Parameter insideHook: true when git itself started this process: git has checked the repository's owner, and a
    ///   `pre-receive` hook must see the quarantined objects.
    /// - Throws: ``GitError``; `isNotFound` when there is no repository there.
    package init(at path: String, insideHook: Bool = false, objectDirectory: String? = nil) throws(GitError) {
        _ = Self.library
        opening = Opening(path: path, insideHook: insideHook, objectDirectory: objectDirectory)
        _ = cgit2_set_owner_validation(insideHook ? 0 : 1)
        var repository: OpaquePointer?
        try check("open the repository at \(path)") {
            unsafe git_repository_open_ext(&repository, path, 0, nil)
        }
        guard let repository = unsafe repository else {
            preconditionFailure("libgit2 reported success without a repository")
        }
        unsafe handle = repository
        var database: OpaquePointer?
        let status = unsafe git_repository_odb(&database, repository)
        guard status == 0, let database = unsafe database else {
            unsafe git_repository_free(repository)
            throw GitError(code: status, operation: "open the object database of \(path)", message: "unreadable")
        }
        unsafe objects = database
        if let objectDirectory {
            // Quarantine: git hands over the directory of the objects that were just pushed.
            try check("read the quarantined objects in \(objectDirectory)") {
                unsafe git_odb_add_disk_alternate(objects, objectDirectory)
            }
        }
    }

    func remember(_ tree: TreeObject, _ id: ObjectID) {
        if rememberedBytes > Self.maxRememberedBytes {
            trees.removeAll(keepingCapacity: true)
            rememberedBytes = 0
        }
        trees[id] = tree
        rememberedBytes += tree.bytes.count
    }

    deinit {
        unsafe git_odb_free(objects)
        unsafe git_repository_free(handle)
    }

    /// The git directory that all linked work trees share, ending in `/`.
    package var commonDirectory: String { unsafe String(cString: git_repository_commondir(handle)) }

    /// This work tree's own git directory, ending in `/`.
    package var gitDirectory: String { unsafe String(cString: git_repository_path(handle)) }

    /// Whether history was cut off by a shallow clone.
    package var isShallow: Bool { unsafe git_repository_is_shallow(handle) == 1 }

    /// Whether a remote promises objects that are missing here: a partial clone, which libgit2 opens and cannot
    /// complete.
    package var isPartial: Bool {
        guard let values = try? configuration() else { return false }
        return values.contains {
            $0.key.hasPrefix("remote.") && $0.key.hasSuffix(".promisor") && GitBoolean.value($0.value) == true
        }
    }

    /// The configuration as it is now: system, global and local files, includes followed. The last value of each key.
    package func configuration() throws(GitError) -> [String: String] {
        Dictionary(try configurationEntries().map { ($0.name, $0.value) }) { $1 }
    }

    /// All entries of the configuration as it is now; later ones override earlier ones, as in git.
    package func configurationEntries() throws(GitError) -> [ConfigurationEntry] {
        var config: OpaquePointer?
        try check("read the git configuration") { unsafe git_repository_config_snapshot(&config, handle) }
        defer { unsafe git_config_free(config) }
        return try unsafe Self.entries(of: config)
    }

    static func entries(of config: OpaquePointer?) throws(GitError) -> [ConfigurationEntry] {
        var iterator: OpaquePointer?
        try check("list the git configuration") { unsafe git_config_iterator_new(&iterator, config) }
        defer { unsafe git_config_iterator_free(iterator) }
        var entries: [ConfigurationEntry] = []
        var entry: UnsafeMutablePointer<git_config_entry>?
        while unsafe git_config_next(&entry, iterator) == 0, let entry = unsafe entry {
            // A key without '=' means true.
            let value = unsafe entry.pointee.value.map { unsafe String(cString: $0) } ?? "true"
            let name = unsafe String(cString: entry.pointee.name)
            entries.append(
                ConfigurationEntry(
                    name: name,
                    value: value,
                    scope: unsafe ConfigurationEntry.Scope(entry.pointee.level)
                )
            )
        }
        return entries
    }

    /// Names of the repository extensions that a git directory's configuration asks for, for the message when libgit2
    /// cannot open it.
    package static func extensions(inGitDirectory path: String) -> [String] {
        _ = library
        var config: OpaquePointer?
        guard unsafe git_config_open_ondisk(&config, path + "/config") == 0 else { return [] }
        defer { unsafe git_config_free(config) }
        var iterator: OpaquePointer?
        guard unsafe git_config_iterator_glob_new(&iterator, config, "^extensions\\.") == 0 else { return [] }
        defer { unsafe git_config_iterator_free(iterator) }
        var names: [String] = []
        var entry: UnsafeMutablePointer<git_config_entry>?
        while unsafe git_config_next(&entry, iterator) == 0, let entry = unsafe entry {
            names.append(unsafe String(cString: entry.pointee.name))
        }
        return names
    }
}

/// One line of git's configuration.
package struct ConfigurationEntry: Sendable, Hashable {
    /// Where it is from.
    package enum Scope: Sendable, Hashable {
        case system, account, repository

        init(_ level: git_config_level_t) {
            switch level {
            case GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM: self = .system
            case GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL: self = .account
            default: self = .repository
            }
        }
    }

    /// Section and key in lower case.
    package var name: String
    package var value: String
    package var scope: Scope

    package init(name: String, value: String, scope: Scope) {
        self.name = name
        self.value = value
        self.scope = scope
    }
}

extension ObjectID {
    init(_ id: git_oid) {
        self = unsafe withUnsafeBytes(of: id) { unsafe ObjectID(pointer: $0.baseAddress.unsafelyUnwrapped) }
    }

    var oid: git_oid {
        var id = git_oid()
        unsafe withUnsafeMutableBytes(of: &id) { unsafe store(to: $0.baseAddress.unsafelyUnwrapped) }
        return id
    }
}
