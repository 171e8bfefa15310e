import CGit2
package import EnsignModel

/// The kind of an object.
package enum ObjectKind: Sendable {
    case blob, tree, commit, tag

    init?(_ type: git_object_t) {
        switch type {
        case GIT_OBJECT_BLOB: self = .blob
        case GIT_OBJECT_TREE: self = .tree
        case GIT_OBJECT_COMMIT: self = .commit
        case GIT_OBJECT_TAG: self = .tag
        default: return nil
        }
    }

    var type: git_object_t {
        switch self {
        case .blob: GIT_OBJECT_BLOB
        case .tree: GIT_OBJECT_TREE
        case .commit: GIT_OBJECT_COMMIT
        case .tag: GIT_OBJECT_TAG
        }
    }
}

/// What proves that an object's bytes are the requested ones.
package enum ObjectProof: Sendable {
    /// Its name: the SHA-1 of its bytes, computed with collision detection.
    case name
    /// The caller's own check: it compares the bytes with their digest, or with what they must be.
    case ownCheck
}

/// One line of a tree object.
package struct TreeEntry: Sendable, Hashable {
    /// As stored: any bytes but `/` and NUL.
    package var name: [UInt8]
    package var mode: Mode
    package var id: ObjectID

    package init(name: [UInt8], mode: Mode, id: ObjectID) {
        self.name = name
        self.mode = mode
        self.id = id
    }

    /// The file mode; git knows these and nothing else.
    package enum Mode: Sendable, Hashable {
        case file, executable, symlink, directory, submodule
        /// Anything else in a tree object.
        case other(UInt32)

        init(_ raw: UInt32) {
            switch raw {
            case 0o100644: self = .file
            case 0o100755: self = .executable
            case 0o120000: self = .symlink
            case 0o040000: self = .directory
            case 0o160000: self = .submodule
            default: self = .other(raw)
            }
        }

        var octal: String {
            switch self {
            case .file: "100644"
            case .executable: "100755"
            case .symlink: "120000"
            case .directory: "40000"
            case .submodule: "160000"
            case .other(let raw): String(raw, radix: 8)
            }
        }
    }
}

extension Repository {
    /// Whether the object database has an object.
    package func contains(_ id: ObjectID) -> Bool {
        var oid = id.oid
        return unsafe git_odb_exists(objects, &oid) == 1
    }

    /// An object's kind and size in bytes, from its header alone.
    package func header(of id: ObjectID) throws(GitError) -> (kind: ObjectKind, size: Int) {
        var oid = id.oid
        var size = 0
        var type = GIT_OBJECT_INVALID
        try check("read object \(id)") { unsafe git_odb_read_header(&size, &type, objects, &oid) }
        guard let kind = ObjectKind(type) else {
            throw GitError(code: -1, operation: "read object \(id)", message: "unknown type of object")
        }
        return (kind, size)
    }

    /// Lends an object's bytes. Objects are read only here.
    ///
    /// - Parameter proof: Whether the SHA-1 of the bytes must match the object's name.
    /// - Throws: ``GitError``; the message names the object when it is missing, damaged or of another kind.
    package func withObject<Result>(
        _ id: ObjectID,
        _ kind: ObjectKind,
        proof: ObjectProof = .name,
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result {
        var oid = id.oid
        var object: OpaquePointer?
        try check("read object \(id)") { unsafe git_odb_read(&object, objects, &oid) }
        defer { unsafe git_odb_object_free(object) }
        guard unsafe git_odb_object_type(object) == kind.type else {
            throw GitError(code: GIT_EPEEL.rawValue, operation: "read object \(id)", message: "it is not a \(kind)")
        }
        if proof == .name {
            var found = git_oid()
            let data = unsafe git_odb_object_data(object)
            try check("read object \(id)") {
                unsafe git_odb_hash(&found, data, git_odb_object_size(object), kind.type)
            }
            guard ObjectID(found) == id else {
                throw GitError(
                    code: -1,
                    operation: "read object \(id)",
                    message: "it is damaged: its content has the name \(ObjectID(found))"
                )
            }
        }
        return try unsafe body(
            UnsafeRawBufferPointer(start: git_odb_object_data(object), count: git_odb_object_size(object))
        )
    }

    /// An object's bytes.
    package func bytes(of id: ObjectID, _ kind: ObjectKind, proof: ObjectProof = .name) throws -> [UInt8] {
        try unsafe withObject(id, kind, proof: proof) { unsafe Array($0) }
    }

    /// A tree as it is stored. Recently read trees are kept: neighbouring ledger entries share most of theirs.
    package func treeObject(_ id: ObjectID) throws -> TreeObject {
        if let known = trees[id] { return known }
        guard let object = TreeObject(checking: try bytes(of: id, .tree)) else {
            throw GitError(code: -1, operation: "read tree \(id)", message: "git would not write such a tree")
        }
        guard object.isPlain || !wantsPlainTrees else {
            let message = "it has something else than files of mode 100644 and folders"
            throw GitError(code: -1, operation: "read tree \(id)", message: message)
        }
        remember(object, id)
        return object
    }

    /// The entries of a tree in git's order.
    package func tree(_ id: ObjectID) throws -> [TreeEntry] { try treeObject(id).entries }

    /// The entry at a `/`-separated path below a tree; nil when there is none.
    package func entry(at path: String, in tree: ObjectID) throws -> TreeEntry? {
        var current = tree
        var found: TreeEntry?
        for component in path.split(separator: "/") {
            if let entry = found {
                guard entry.mode == .directory else { return nil }
                current = entry.id
            }
            guard let entry = try treeObject(current).entry(named: component) else { return nil }
            found = entry
        }
        return found
    }

    /// Writes an object and returns its id. Not durable by itself: see ``ObjectWriter``.
    @discardableResult
    package func write(_ bytes: [UInt8], _ kind: ObjectKind) throws(GitError) -> ObjectID {
        var oid = git_oid()
        try check("write a \(kind) into \(commonDirectory)objects") {
            unsafe bytes.withUnsafeBytes { buffer in
                unsafe withUnsafePointer(to: UInt8(0)) { nothing in
                    unsafe git_odb_write(
                        &oid,
                        objects,
                        buffer.baseAddress ?? UnsafeRawPointer(nothing),
                        buffer.count,
                        kind.type
                    )
                }
            }
        }
        let id = ObjectID(oid)
        if sharedMode != nil {
            let hex = id.description
            share("objects/\(hex.prefix(2))/\(hex.dropFirst(2))")
        }
        return id
    }

    /// The id that bytes would have as an object.
    package static func objectID(of bytes: [UInt8], _ kind: ObjectKind) -> ObjectID {
        var oid = git_oid()
        unsafe bytes.withUnsafeBytes { buffer in
            unsafe withUnsafePointer(to: UInt8(0)) { nothing in
                _ = unsafe git_odb_hash(&oid, buffer.baseAddress ?? UnsafeRawPointer(nothing), buffer.count, kind.type)
            }
        }
        return ObjectID(oid)
    }
}
