import EnsignModel
import Glibc

/// A tree object as it is stored, walked entry by entry: a name is copied only when it is requested.
///
///The format: `<octal mode> SP <name> NUL <20 bytes>`, again and again (git's Documentation, gitformat-pack). Git sorts
///the entries by name as bytes, a directory as if its name ended in `/`.
package struct TreeObject: Sendable {
    let bytes: [UInt8]
    /// Whether it holds nothing but ordinary files and folders, with the modes as git writes them: `100644` and `40000`.
    private(set) var isPlain = true

    /// A tree without entries.
    package static let empty = TreeObject(bytes: [])

    /// Bytes that are known to be well formed.
    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Checks the format once, so that walking the entries cannot fail.
    ///
    /// Git itself writes names in strict order, and never a path. A tree that breaks this rule looks different to
    /// different readers: with a name twice, a checkout takes one file and a lookup the other.
    ///
    /// - Returns: nil when the bytes are not a tree that git would write.
    init?(checking bytes: [UInt8]) {
        self.bytes = bytes
        var index = 0
        var before: Part?
        while index < bytes.count {
            guard let part = part(at: index), part.nameEnd > part.nameStart, !hasSlash(part) else { return nil }
            if let before {
                guard Self.order(self, before, self, part) < 0 else { return nil }
                // A file and a folder of one name: only names that begin with it are between them.
                if part.isDirectory {
                    let name = bytes[part.nameStart..<part.nameEnd]
                    if bytes[before.nameStart..<before.nameEnd].starts(with: name), hasFile(named: name, upTo: index) {
                        return nil
                    }
                }
            }
            isPlain = isPlain && hasPlainMode(part)
            before = part
            index = part.end
        }
    }

    private func hasPlainMode(_ part: Part) -> Bool {
        let mode = bytes[part.start..<part.nameStart - 1]
        return mode.elementsEqual(Self.plainModes.0) || mode.elementsEqual(Self.plainModes.1)
    }

    private static let plainModes = (Array("100644".utf8), Array("40000".utf8))

    private func hasSlash(_ part: Part) -> Bool {
        unsafe bytes.withUnsafeBytes {
            unsafe memchr($0.baseAddress.unsafelyUnwrapped + part.nameStart, 0x2F, part.nameEnd - part.nameStart) != nil
        }
    }

    private func hasFile(named name: ArraySlice<UInt8>, upTo end: Int) -> Bool {
        var index = 0
        while index < end, let part = part(at: index) {
            if !part.isDirectory, bytes[part.nameStart..<part.nameEnd] == name { return true }
            index = part.end
        }
        return false
    }

    /// The positions of one entry's parts.
    struct Part {
        var start: Int
        var nameStart: Int
        var nameEnd: Int
        /// The next entry starts here.
        var end: Int { nameEnd + 21 }
        /// The first byte of a mode tells directories apart: `40000` against `100644` and the like.
        var isDirectory: Bool
    }

    /// The entry that starts at `index`; nil at the end, and if the bytes are not an entry.
    func part(at index: Int) -> Part? {
        guard index < bytes.count else { return nil }
        return unsafe bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress,
                let space = unsafe memchr(base + index, 0x20, min(buffer.count - index, 12)),
                let end = unsafe memchr(space, 0, buffer.count - (UnsafeRawPointer(space) - base))
            else { return nil }
            let part = unsafe Part(
                start: index,
                nameStart: UnsafeRawPointer(space) - base + 1,
                nameEnd: UnsafeRawPointer(end) - base,
                isDirectory: buffer[index] == 0x34
            )
            return part.end <= buffer.count ? part : nil
        }
    }

    func entry(_ part: Part) -> TreeEntry {
        var mode: UInt32 = 0
        for byte in bytes[part.start..<part.nameStart - 1] { mode = mode &* 8 &+ UInt32(byte &- 0x30) }
        return TreeEntry(name: Array(bytes[part.nameStart..<part.nameEnd]), mode: TreeEntry.Mode(mode), id: id(part))
    }

    func id(_ part: Part) -> ObjectID {
        unsafe bytes.withUnsafeBytes { unsafe ObjectID(pointer: $0.baseAddress.unsafelyUnwrapped + part.nameEnd + 1) }
    }

    /// All entries, in their order.
    package var entries: [TreeEntry] {
        var entries: [TreeEntry] = []
        entries.reserveCapacity(bytes.count / 40)
        var index = 0
        while let part = part(at: index) {
            entries.append(entry(part))
            index = part.end
        }
        return entries
    }

    /// The names of the folders, in their order.
    package var folders: [String] {
        var names: [String] = []
        var index = 0
        while let part = part(at: index) {
            if part.isDirectory { names.append(String(decoding: bytes[part.nameStart..<part.nameEnd], as: UTF8.self)) }
            index = part.end
        }
        return names
    }

    /// The entry of that name; nil when there is none.
    package func entry(named name: some StringProtocol) -> TreeEntry? {
        var name = String(name)
        return name.withUTF8 { wanted in
            var index = 0
            while let part = part(at: index) {
                if part.nameEnd - part.nameStart == wanted.count,
                    unsafe bytes.withUnsafeBytes({ buffer in
                        unsafe memcmp(
                            buffer.baseAddress.unsafelyUnwrapped + part.nameStart,
                            UnsafeRawPointer(wanted.baseAddress) ?? buffer.baseAddress.unsafelyUnwrapped,
                            wanted.count
                        ) == 0
                    })
                {
                    return entry(part)
                }
                index = part.end
            }
            return nil
        }
    }

    /// Walks two trees side by side in git's order and names the entries that are not the same in both.
    ///
    /// An entry in only one tree comes with nil for the other. In an unsorted tree some entries that are in both come
    /// twice, once from each side; no difference is left out.
    package static func compare(
        _ old: TreeObject,
        _ new: TreeObject,
        _ body: (TreeEntry?, TreeEntry?) throws -> Void
    ) rethrows {
        var before = old.part(at: 0)
        var after = new.part(at: 0)
        while before != nil || after != nil {
            switch (before, after) {
            case (let was?, let now?):
                if isSame(old, was, new, now) {
                    before = old.part(at: was.end)
                    after = new.part(at: now.end)
                    continue
                }
                let order = order(old, was, new, now)
                try body(order <= 0 ? old.entry(was) : nil, order >= 0 ? new.entry(now) : nil)
                if order <= 0 { before = old.part(at: was.end) }
                if order >= 0 { after = new.part(at: now.end) }
            case (let was?, nil):
                try body(old.entry(was), nil)
                before = old.part(at: was.end)
            case (nil, let now?):
                try body(nil, new.entry(now))
                after = new.part(at: now.end)
            case (nil, nil): return
            }
        }
    }

    private static func isSame(_ old: TreeObject, _ was: Part, _ new: TreeObject, _ now: Part) -> Bool {
        let count = was.end - was.start
        guard now.end - now.start == count else { return false }
        return unsafe old.bytes.withUnsafeBytes { left in
            unsafe new.bytes.withUnsafeBytes { right in
                unsafe memcmp(
                    left.baseAddress.unsafelyUnwrapped + was.start,
                    right.baseAddress.unsafelyUnwrapped + now.start,
                    count
                ) == 0
            }
        }
    }

    /// Git's order: negative when the old entry comes first, 0 when both have the same place. A directory is where its
    /// name with a `/` would be.
    private static func order(_ old: TreeObject, _ was: Part, _ new: TreeObject, _ now: Part) -> Int {
        unsafe old.bytes.withUnsafeBytes { left in
            unsafe new.bytes.withUnsafeBytes { right in
                let common = min(was.nameEnd - was.nameStart, now.nameEnd - now.nameStart)
                let order = unsafe memcmp(
                    left.baseAddress.unsafelyUnwrapped + was.nameStart,
                    right.baseAddress.unsafelyUnwrapped + now.nameStart,
                    common
                )
                guard order == 0 else { return Int(order) }
                // The byte after the common part: the name's own, or the directory's `/`, or nothing.
                let first = unsafe next(left, was, common)
                let second = unsafe next(right, now, common)
                guard first == second, first >= 0 else { return first - second }
                // A `/` that a directory's name implies, and one within a name: the longer one comes later.
                return (was.nameEnd - was.nameStart) - (now.nameEnd - now.nameStart)
            }
        }
    }

    private static func next(_ bytes: UnsafeRawBufferPointer, _ part: Part, _ offset: Int) -> Int {
        guard part.nameStart + offset >= part.nameEnd else { return unsafe Int(bytes[part.nameStart + offset]) }
        return part.isDirectory ? 0x2F : -1
    }

    private static func key(_ name: ArraySlice<UInt8>, _ isDirectory: Bool) -> [UInt8] {
        isDirectory ? name + [0x2F] : Array(name)
    }

    // MARK: Writing

    /// The tree with entries set or removed by name.
    ///
    /// - Parameter edits: By name: the entry to put there, or nil for nothing.
    /// - Returns: nil when nothing is left.
    func replacing(_ edits: [[UInt8]: TreeEntry?]) -> TreeObject? {
        let added = edits.values.compactMap { $0 }
            .map { (key: Self.key($0.name[...], $0.mode == .directory), entry: $0) }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count + added.count * 48)
        var next = 0
        var index = 0
        while let part = part(at: index) {
            let name = bytes[part.nameStart..<part.nameEnd]
            let key = Self.key(name, part.isDirectory)
            while next < added.count, added[next].key.lexicographicallyPrecedes(key) {
                added[next].entry.append(to: &result)
                next += 1
            }
            // With few edits the names are compared as bytes; hashing each name of a large folder would cost more.
            let isEdited = edits.count < 8 ? edits.keys.contains { $0[...] == name } : edits.keys.contains(Array(name))
            if !isEdited { result.append(contentsOf: bytes[part.start..<part.end]) }
            index = part.end
        }
        for (_, entry) in added[next...] { entry.append(to: &result) }
        return result.isEmpty ? nil : TreeObject(bytes: result)
    }
}

extension TreeEntry {
    fileprivate func append(to bytes: inout [UInt8]) {
        bytes.append(contentsOf: mode.octal.utf8)
        bytes.append(0x20)
        bytes.append(contentsOf: name)
        bytes.append(0)
        bytes.append(contentsOf: id.bytes)
    }
}
