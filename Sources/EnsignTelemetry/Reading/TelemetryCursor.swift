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
        /// Of a file at rest, when it was changed last.
        var modified: Int64?

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

    /// Files that are there and have given up their place to newer ones: nobody opens them while they do not change.
    private(set) var resting: [FileID: File] = [:]
    /// No file that is unknown and was changed last at this time or before is begun: it may have rested here.
    private(set) var horizon = Int64.min

    static let retiredLimit = 256
    static let restingLimit = 10_000

    /// A cursor that has read nothing.
    package init() {}

    mutating func retire(_ file: File) {
        guard file.offset > 0 else { return }
        retired.append(file)
        if retired.count > Self.retiredLimit { retired.removeFirst(retired.count - Self.retiredLimit) }
    }

    /// Lets a followed file rest.
    mutating func rest(_ id: FileID, modified: Int64) {
        guard var file = files.removeValue(forKey: id) else { return }
        file.modified = modified
        resting[id] = file
        guard resting.count > Self.restingLimit else { return }
        let byAge = resting.sorted { $0.value.modified ?? .min < $1.value.modified ?? .min }
        for (id, file) in byAge.prefix(Self.restingLimit / 8) {
            resting[id] = nil
            horizon = max(horizon, file.modified ?? .min)
            retire(file)
        }
    }

    /// Takes a file that rested; nil if it did not.
    mutating func wake(_ id: FileID) -> File? {
        guard var file = resting.removeValue(forKey: id) else { return nil }
        file.modified = nil
        return file
    }

    /// Forgets files at rest that are gone.
    mutating func retireResting(except present: Set<FileID>) {
        for id in resting.keys.filter({ !present.contains($0) }).sorted(by: { $0.inode < $1.inode }) {
            if let file = wake(id) { retire(file) }
        }
    }

    // MARK: - JSON

    package var json: JSONValue {
        let files = files.values.sorted { ($0.device, $0.inode) < ($1.device, $1.inode) }
        var object: JSONObject = [
            "v": 1, "files": .array(files.map(Self.json)), "retired": .array(retired.map(Self.json)),
        ]
        if !resting.isEmpty {
            let resting = resting.values.sorted { ($0.device, $0.inode) < ($1.device, $1.inode) }
            object["resting"] = .array(resting.map(Self.json))
        }
        if horizon != .min { object["horizon"] = .integer(horizon) }
        return .object(object)
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
        for value in json["resting"]?.array ?? [] {
            guard let file = Self.file(value), file.modified != nil else { return nil }
            resting[file.id] = file
        }
        horizon = json["horizon"]?.int ?? .min
    }

    private static func json(_ file: File) -> JSONValue {
        var object: JSONObject = [
            "device": .string(String(file.device, radix: 16)), "inode": .string(String(file.inode, radix: 16)),
            "offset": .integer(file.offset), "headCount": .integer(Int64(file.headCount)),
            "head": .string(String(file.head, radix: 16)), "tail": .string(String(file.tail, radix: 16)),
            "inLongLine": .bool(file.isInLongLine), "copy": .bool(file.isCopy),
        ]
        if let modified = file.modified { object["modified"] = .integer(modified) }
        return .object(object)
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
            isCopy: isCopy,
            modified: json["modified"]?.int
        )
    }
}
