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
        /// Bytes that are finished.
        var offset: Int64 = 0
        /// How many of the first bytes `head` is the hash of, at most ``headLimit`` and never beyond `offset`.
        var headCount = 0
        var head = StableHash().value
        /// The hash of the last ``tailLimit`` bytes before `offset`, or of all of them if there are fewer.
        var tail = StableHash().value
        /// Whether `offset` lies inside a line that is too long; it ends with the next newline.
        var isInLongLine = false
        /// Whether the file is a copy of one that was read, so that it may still be shorter than `offset`.
        var isCopy = false
        /// Who writes it.
        var writer = Writer()
        /// Of a file at rest, how it was when it was looked at last.
        var seen: Seen?

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

    /// Who shares places and turns with whom: an agent's folder, or else the account that owns the file.
    ///
    /// Nothing here is decided by a file's times, which its writer may set.
    struct Writer: Sendable, Hashable {
        var folder: AgentID?
        var owner: UInt32 = 0
    }

    struct Seen: Sendable, Hashable {
        var size: Int64
        /// When contents or metadata changed last, as the kernel says it.
        var changed: Int64
    }

    /// Files that are there.
    var files: [FileID: File] = [:]
    /// Files that are gone or were cut, newest last: a copy of one of them continues where it stopped.
    var retired: [File] = []
    /// Files that are there and have given up their place to others: nobody opens them while they do not change.
    private(set) var resting: [FileID: File] = [:]
    /// No unknown file of these writers is begun if it was changed last at this time or before: it may have rested
    /// here.
    private(set) var horizons: [Writer: Int64] = [:]

    static let retiredLimit = 256
    static let restingLimit = 10_000
    static let horizonLimit = 10_000

    /// A cursor that has read nothing.
    package init() {}

    mutating func retire(_ file: File) {
        guard file.offset > 0 else { return }
        retired.append(file)
        guard retired.count > Self.retiredLimit else { return }
        let writer = Self.mostOften(retired.map(\.writer))
        if let index = retired.firstIndex(where: { $0.writer == writer }) { retired.remove(at: index) }
    }

    /// Lets a followed file rest.
    mutating func rest(_ id: FileID, _ seen: Seen) {
        guard var file = files.removeValue(forKey: id) else { return }
        file.seen = seen
        resting[id] = file
        if resting.count > Self.restingLimit { forgetResting() }
    }

    /// Forgets files at rest of whoever has most of them, those first that changed longest ago.
    private mutating func forgetResting() {
        let writer = Self.mostOften(resting.values.map(\.writer))
        let ofOne = resting.filter { $0.value.writer == writer }.sorted {
            ($0.value.seen?.changed ?? .min, $0.key.inode) < ($1.value.seen?.changed ?? .min, $1.key.inode)
        }
        for (id, file) in ofOne.prefix(Self.restingLimit / 8) {
            resting[id] = nil
            if horizons.count < Self.horizonLimit || horizons[file.writer] != nil {
                horizons[file.writer] = max(horizons[file.writer] ?? .min, file.seen?.changed ?? .min)
            }
            retire(file)
        }
    }

    static func mostOften<Value: Hashable>(_ values: some Sequence<Value>) -> Value? {
        var counts: [Value: Int] = [:]
        for value in values { counts[value, default: 0] += 1 }
        return counts.max { $0.value < $1.value }?.key
    }

    /// Takes a file that rested; nil if it did not.
    mutating func wake(_ id: FileID) -> File? {
        guard var file = resting.removeValue(forKey: id) else { return nil }
        file.seen = nil
        return file
    }

    /// Forgets files at rest that are gone.
    mutating func retireResting(_ isGone: (FileID) -> Bool) {
        for id in resting.keys.filter(isGone).sorted(by: { $0.inode < $1.inode }) {
            if let file = wake(id) { retire(file) }
        }
    }

    // MARK: - JSON

    package var json: JSONValue {
        func list(_ files: [FileID: File]) -> JSONValue {
            .array(files.values.sorted { ($0.device, $0.inode) < ($1.device, $1.inode) }.map(\.json))
        }
        var object: JSONObject = ["v": 1, "files": list(files), "retired": .array(retired.map(\.json))]
        if !resting.isEmpty { object["resting"] = list(resting) }
        if !horizons.isEmpty {
            object["horizons"] = .array(
                horizons.sorted { ($0.value, $0.key.owner) < ($1.value, $1.key.owner) }.map { writer, time in
                    [
                        writer.folder.map { .string($0.description) } ?? .null, .integer(Int64(writer.owner)),
                        .integer(time),
                    ]
                }
            )
        }
        return .object(object)
    }

    /// Reads a cursor back; nil if it is none, or of a version that is not known.
    package init?(json: JSONValue) {
        guard json["v"]?.int == 1, let files = json["files"]?.array, let retired = json["retired"]?.array else {
            return nil
        }
        for value in files {
            guard let file = File(json: value) else { return nil }
            self.files[file.id] = file
        }
        for value in retired {
            guard let file = File(json: value) else { return nil }
            self.retired.append(file)
        }
        for value in json["resting"]?.array ?? [] {
            guard var file = File(json: value) else { return nil }
            // An older version used times that writers set: such a file is looked at once more.
            file.seen = file.seen ?? Seen(size: -1, changed: .min)
            resting[file.id] = file
        }
        for value in json["horizons"]?.array ?? [] {
            guard let owner = value[1]?.int.flatMap({ UInt32(exactly: $0) }), let time = value[2]?.int else {
                return nil
            }
            horizons[Writer(folder: value[0]?.string.flatMap { AgentID($0) }, owner: owner)] = time
        }
    }
}

extension TelemetryCursor.File {
    /// A file of which nothing was read.
    init(_ id: TelemetryCursor.FileID, _ writer: TelemetryCursor.Writer = .init()) {
        self.init(device: id.device, inode: id.inode)
        self.writer = writer
    }

    fileprivate var json: JSONValue {
        var object: JSONObject = [
            "device": .string(String(device, radix: 16)), "inode": .string(String(inode, radix: 16)),
            "offset": .integer(offset), "headCount": .integer(Int64(headCount)),
            "head": .string(String(head, radix: 16)), "tail": .string(String(tail, radix: 16)),
            "inLongLine": .bool(isInLongLine), "copy": .bool(isCopy), "owner": .integer(Int64(writer.owner)),
        ]
        if let folder = writer.folder { object["folder"] = .string(folder.description) }
        if let seen { object["seen"] = [.integer(seen.size), .integer(seen.changed)] }
        return .object(object)
    }

    fileprivate init?(json: JSONValue) {
        func hex(_ key: String) -> UInt64? { json[key]?.string.flatMap { UInt64($0, radix: 16) } }
        guard let device = hex("device"), let inode = hex("inode"), let head = hex("head"), let tail = hex("tail"),
            let offset = json["offset"]?.int, offset >= 0, let headCount = json["headCount"]?.int,
            (0...Int64(Self.headLimit)).contains(headCount), headCount <= offset,
            let isInLongLine = json["inLongLine"]?.bool, let isCopy = json["copy"]?.bool
        else { return nil }
        self.init(device: device, inode: inode)
        (self.offset, self.headCount, self.head, self.tail) = (offset, Int(headCount), head, tail)
        (self.isInLongLine, self.isCopy) = (isInLongLine, isCopy)
        writer.folder = json["folder"]?.string.flatMap { AgentID($0) }
        writer.owner = json["owner"]?.int.flatMap { UInt32(exactly: $0) } ?? 0
        if let size = json["seen"]?[0]?.int, let changed = json["seen"]?[1]?.int {
            seen = TelemetryCursor.Seen(size: size, changed: changed)
        }
    }
}
