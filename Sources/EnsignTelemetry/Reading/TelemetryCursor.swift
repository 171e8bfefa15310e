package import EnsignModel

/// How far a directory of telemetry has been read: a value that is written together with what was made of the events.
///
/// Whoever writes both at once never loses or repeats an event: after a crash, the older cursor reads again what the
/// older state has not seen.
package struct TelemetryCursor: Sendable, Hashable {
    /// One file and how far it was read.
    struct File: Sendable, Hashable {
        var device: UInt64
        var inode: UInt64
        /// Bytes that are done with.
        var offset: Int64
        /// How many of the first bytes `head` is the hash of, at most ``headLimit`` and never beyond `offset`.
        var headCount: Int
        var head: UInt64
        /// The hash of the last ``tailLimit`` bytes before `offset`, or of all of them if there are fewer.
        var tail: UInt64
        /// Whether `offset` lies inside a line that is too long; it ends with the next newline.
        var isInLongLine: Bool
        /// Whether the file is a copy of one that was read, so that it may still be shorter than `offset`.
        var isCopy: Bool

        /// Enough to hold the first ids and times of a file, which follow the resource's attributes.
        static let headLimit = 16_384
        /// Enough to hold the last ids and times before the offset.
        static let tailLimit = 4_096

        var id: FileID { FileID(device: device, inode: inode) }
    }

    /// What the kernel knows a file by, for as long as it exists.
    struct FileID: Sendable, Hashable {
        var device: UInt64
        var inode: UInt64
    }

    /// Files that are there.
    var files: [FileID: File] = [:]
    /// Files that are gone or were cut, newest last: a copy of one of them continues where it stopped.
    var retired: [File] = []

    static let retiredLimit = 256

    /// A cursor that has read nothing.
    package init() {}

    mutating func retire(_ file: File) {
        guard file.offset > 0 else { return }
        retired.append(file)
        if retired.count > Self.retiredLimit { retired.removeFirst(retired.count - Self.retiredLimit) }
    }

    // MARK: - JSON

    package var json: JSONValue {
        let files = files.values.sorted { ($0.device, $0.inode) < ($1.device, $1.inode) }
        return [
            "v": 1, "files": .array(files.map(Self.json)), "retired": .array(retired.map(Self.json)),
        ]
    }

    /// Reads a cursor back; nil if it is none, or of a version that is not known.
    package init?(json: JSONValue) {
        guard json["v"]?.int == 1, let files = json["files"]?.array, let retired = json["retired"]?.array else {
            return nil
        }
        for value in files {
            guard let file = Self.file(value) else { return nil }
            self.files[file.id] = file
        }
        for value in retired {
            guard let file = Self.file(value) else { return nil }
            self.retired.append(file)
        }
    }

    private static func json(_ file: File) -> JSONValue {
        [
            "device": .string(String(file.device, radix: 16)), "inode": .string(String(file.inode, radix: 16)),
            "offset": .integer(file.offset), "headCount": .integer(Int64(file.headCount)),
            "head": .string(String(file.head, radix: 16)), "tail": .string(String(file.tail, radix: 16)),
            "inLongLine": .bool(file.isInLongLine), "copy": .bool(file.isCopy),
        ]
    }

    private static func file(_ json: JSONValue) -> File? {
        func hex(_ key: String) -> UInt64? { json[key]?.string.flatMap { UInt64($0, radix: 16) } }
        guard let device = hex("device"), let inode = hex("inode"), let head = hex("head"), let tail = hex("tail"),
            let offset = json["offset"]?.int, offset >= 0, let headCount = json["headCount"]?.int,
            (0...Int64(File.headLimit)).contains(headCount), headCount <= offset,
            let isInLongLine = json["inLongLine"]?.bool, let isCopy = json["copy"]?.bool
        else { return nil }
        return File(
            device: device,
            inode: inode,
            offset: offset,
            headCount: Int(headCount),
            head: head,
            tail: tail,
            isInLongLine: isInLongLine,
            isCopy: isCopy
        )
    }
}
