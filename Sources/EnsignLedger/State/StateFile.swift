package import EnsignModel
package import EnsignSystem

/// A value that is kept between runs.
package protocol StateValue: Sendable {
    static var kind: StateKind { get }

    /// - Returns: nil if it is damaged or not Ensign's.
    init?(_ contents: StateContents)

    var contents: StateContents { get }

    /// Reads what an earlier release kept at ``StateKind/formerPattern``. By default it is read as contents.
    init?(former bytes: [UInt8])
}

extension StateValue {
    package init?(former bytes: [UInt8]) {
        guard let contents = StateContents(bytes: bytes, version: Self.kind.version) else { return nil }
        self.init(contents)
    }
}

/// Everything that Ensign keeps between runs goes through this type.
///
/// A file is replaced as a whole, so a reader sees the old value or the new one. A file that is damaged, too large, or
/// of another version counts as missing. A file that cannot be read is an error, for callers that want to know.
package struct StateFile<Value: StateValue>: Sendable {
    package let path: String
    /// The path in an earlier release.
    private let former: String?
    /// Where the key of the seal is; nil for what is not in `cache/`.
    private let sealedBy: String?

    package init(_ files: LedgerFiles, _ environment: String = "", part: String = "") {
        func place(_ pattern: String) -> String {
            "\(files.root)/" + StateKind.path(pattern, environment: environment, part: part)
        }
        path = place(Value.kind.pattern)
        sealedBy = Value.kind.pattern.hasPrefix("cache/") ? files.cacheKey : nil
        former = Value.kind.formerPattern.map(place)
    }

    /// For tests: a file at any path.
    package init(path: String, former: String? = nil) {
        self.path = path
        self.former = former
        sealedBy = nil
    }

    /// - Returns: nil when there is nothing that this Ensign wrote.
    /// - Throws: ``SystemError`` when the file cannot be read.
    package func read() throws(SystemError) -> Value? {
        if let value = try contents(of: path).flatMap({ Value($0) }) { return value }
        guard let former else { return nil }
        return try Files.readOwn(former, limit: Value.kind.limit).flatMap { Value(former: $0) }
    }

    /// The stored value; an unreadable file counts as missing.
    package func known() -> Value? { try? read() }

    /// The stored contents, not yet decoded, for callers that want only a part.
    package func contents() throws(SystemError) -> StateContents? {
        if let contents = try contents(of: path) { return contents }
        return try former.flatMap { (path) throws(SystemError) in try contents(of: path) }
    }

    private func contents(of path: String) throws(SystemError) -> StateContents? {
        guard var bytes = try Files.readOwn(path, limit: Value.kind.limit) else { return nil }
        if let sealedBy {
            guard let key = CacheSeal.key(at: sealedBy, makes: false),
                let opened = CacheSeal.opened(bytes, place: path, key: key)
            else { return nil }
            bytes = opened
        }
        return StateContents(bytes: bytes, version: Value.kind.version)
    }

    /// Whether an earlier release's file is still there. The next write removes it.
    package func hasFormer() throws(SystemError) -> Bool {
        guard let former else { return false }
        return try Files.status(former) != nil
    }

    /// Moves an earlier release's file to its present place. The caller holds the lock for writing it.
    package func takeOver() throws(SystemError) {
        guard let former, try hasFormer() else { return }
        if let value = try read() { try write(value) } else { try Files.remove(former) }
    }

    /// Replaces the file.
    ///
    /// - Parameter inNewFolder: false skips the write when its folder does not exist yet: queries create none.
    package func write(_ value: Value, inNewFolder: Bool = true) throws(SystemError) {
        if let folder = Files.parent(of: path) {
            if inNewFolder {
                try Files.makeDirectories(folder)
            } else if try Files.status(folder) == nil {
                return
            }
        }
        var bytes = value.contents.bytes(version: Value.kind.version)
        if let sealedBy {
            // Without a key nobody would believe it.
            guard let key = CacheSeal.key(at: sealedBy, makes: inNewFolder) else { return }
            bytes += CacheSeal.line(bytes, place: path, key: key)
        }
        // The safe old one goes only when the new one is as safe.
        let replaces = (try? hasFormer()) == true
        try Files.replace(path, with: bytes, durable: Value.kind.isDurable || replaces)
        if let former, replaces { try? Files.remove(former) }
    }

    /// Writes over the file that is there, for a disk without room for another. A reader may see half of it, which counts as
    /// no value.
    package func overwrite(_ value: Value) throws(SystemError) {
        try Files.overwrite(path, with: value.contents.bytes(version: Value.kind.version))
    }

    package func remove() throws(SystemError) {
        // The other way round a crash would bring the older value back.
        if let former { try Files.remove(former) }
        try Files.remove(path)
    }

    /// When it was last written; nil when it never was.
    package func written() throws(SystemError) -> Timestamp? {
        var status = try Files.status(path)
        if status == nil, let former { status = try Files.status(former) }
        return status.map { Timestamp(seconds: $0.modified / 1_000_000_000) }
    }

    package var isThere: Bool { (try? written()) != nil }
}
