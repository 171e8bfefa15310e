package import EnsignModel

/// A commit's headers and message, read from its raw bytes.
package struct Commit: Sendable {
    package var tree: ObjectID
    package var parents: [ObjectID]
    /// `Name <email>`.
    package var author: String
    package var committer: String
    /// The committer's time in seconds since 1970.
    package var time: Int64
    package var message: String
    /// The armored signature in the `gpgsig` header, unfolded; nil when unsigned. Of several headers the values follow
    /// each other in lines, as in git (commit.c, `parse_buffer_signed_by_header`).
    package var signature: [UInt8]?
    /// The bytes that the signature covers: the commit without its `gpgsig` headers, and all whose name begins so.
    package var signedBytes: [UInt8]

    /// The first parent of a raw commit, without reading the rest; nil when it has none.
    package static func firstParent(of bytes: [UInt8]) -> ObjectID? {
        // tree <40>LF parent <40>LF: at fixed places in every commit that git writes.
        guard bytes.count > 94, bytes[46..<53].elementsEqual("parent ".utf8) else { return nil }
        return ObjectID(String(decoding: bytes[53..<93], as: UTF8.self))
    }

    /// Parses a raw commit; nil when it lacks a tree, an author or a committer.
    package init?(_ bytes: [UInt8]) {
        var tree: ObjectID?
        var parents: [ObjectID] = []
        var author: String?
        var committer: String?
        var time: Int64 = 0
        var signature: [UInt8]?
        var signed: [UInt8] = []
        signed.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count, bytes[index] != 0x0A {
            let start = index
            // A header continues over lines that start with a space.
            var value: [UInt8] = []
            var name = ""
            var first = true
            repeat {
                let lineStart = first ? index : index + 1
                var end = lineStart
                while end < bytes.count, bytes[end] != 0x0A { end += 1 }
                var line = bytes[lineStart..<end]
                if first {
                    let space = line.firstIndex(of: 0x20) ?? line.endIndex
                    name = String(decoding: line[line.startIndex..<space], as: UTF8.self)
                    line = space < line.endIndex ? line[(space + 1)...] : []
                } else {
                    value.append(0x0A)
                }
                value.append(contentsOf: line)
                first = false
                index = min(end + 1, bytes.count)
            } while index < bytes.count && bytes[index] == 0x20
            if name.hasPrefix("gpgsig") {
                if name == "gpgsig" { signature = signature.map { $0 + [0x0A] + value } ?? value }
                continue
            }
            signed.append(contentsOf: bytes[start..<index])
            let text = String(decoding: value, as: UTF8.self)
            switch name {
            case "tree": tree = tree ?? ObjectID(text)
            case "parent":
                if let parent = ObjectID(text) { parents.append(parent) }
            case "author": author = author ?? Self.identity(text).name
            case "committer":
                if committer == nil { (committer, time) = Self.identity(text) }
            default: break
            }
        }
        signed.append(contentsOf: bytes[index...])
        guard let tree, let author, let committer else { return nil }
        self.tree = tree
        self.parents = parents
        self.author = author
        self.committer = committer
        self.time = time
        self.signature = signature
        signedBytes = signed
        message = String(decoding: bytes[min(index + 1, bytes.count)...], as: UTF8.self)
    }

    /// The first line of the message.
    package var subject: String {
        String(message.prefix { $0 != "\n" })
    }

    private static func identity(_ text: String) -> (name: String, time: Int64) {
        guard let end = text.lastIndex(of: ">") else { return (text, 0) }
        let rest = text[text.index(after: end)...].split(separator: " ")
        return (String(text[...end]), rest.first.flatMap { Int64($0) } ?? 0)
    }
}

extension Repository {
    /// Reads a commit.
    package func commit(_ id: ObjectID) throws -> Commit {
        guard let commit = Commit(try bytes(of: id, .commit)) else {
            throw GitError(code: -1, operation: "read commit \(id)", message: "the object is damaged")
        }
        return commit
    }
}
