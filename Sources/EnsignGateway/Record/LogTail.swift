import EnsignModel
import EnsignSystem
import Glibc

/// Where the next line goes. Only whoever holds the folder's lock may touch it.
struct LogTail: Sendable {
    /// What is open in this process: intents by number, with the place of their line.
    var open: [Int64: LogFolder.Place] = [:]
    private(set) var sequence: Int64 = 0
    /// Nil before the first line of all.
    private(set) var digest: Digest?
    /// The newest file.
    private(set) var name: String?
    /// The place of the newest line.
    private(set) var lastStart = LogFolder.Place(name: "", offset: 0)
    /// Outcomes that could not be written when they came, oldest first.
    var late: [LateOutcome] = []
    var head: (sequence: Int64, time: Timestamp) = (0, Timestamp(seconds: 0))
    /// The file of the folder's lock, as it was opened last.
    var lock: OpenFile?
    /// This process, among those that write.
    let writer = String(UInt64.random(in: 0...0xFFFF_FFFF) | 1 << 32, radix: 16)

    /// What is to be written as soon as that is possible.
    struct LateOutcome: Sendable {
        var decision: Decision
        var hidden: NewLine.Hidden

        /// Beyond, they are not kept: as long as their process lives such calls are open, and then unknown.
        static let most = 4_096
    }

    private let folder: LogFolder
    private var file: OpenFile?
    private var size: Int64 = 0
    private var place: OpenFile?
    private var linesSincePlace = 0
    private var day: (number: Int64, text: String) = (.min, "")

    init(_ folder: LogFolder) { self.folder = folder }

    /// Catches up with what others wrote since.
    mutating func follow(_ lock: borrowing LogFolder.Lock) throws(RecordFailure) {
        let newest = try lock.newest(name)
        if let newest, try isUnchanged(newest) { return }
        guard let newest = try folder.newest(newest) else {
            if let head = try folder.lastHead() { try goOn(after: head) }
            return
        }
        try reopen(newest)
        let (line, end) = try folder.lastLine(of: newest)
        if end < size {
            // A line without its end: the machine lost power while it was written.
            try truncate(to: end)
        }
        if let line {
            sequence = line.sequence
            digest = line.digest
            lastStart = LogFolder.Place(name: newest, offset: end - Int64(line.bytes.count) - 1)
        } else if let before = try folder.lastLine(before: newest) {
            sequence = before.sequence
            digest = before.digest
        }
        if let newestHead = try folder.lastHead() { head = (newestHead.sequence, newestHead.time) }
        guard head.sequence <= sequence else {
            throw RecordFailure(
                "the decision log ends at \(sequence), and a signed head names \(head.sequence): it was cut. "
                    + folder.wayOut
            )
        }
    }

    /// Every file is gone, by age; the chain goes on.
    private mutating func goOn(after newest: LogHead) throws(RecordFailure) {
        guard sequence <= newest.sequence else { return }
        sequence = newest.sequence
        digest = newest.digest
        head = (newest.sequence, newest.time)
    }

    /// Whether the newest file is the one that is open, as this process left it.
    private func isUnchanged(_ name: String) throws(RecordFailure) -> Bool {
        guard name == self.name, let file else { return false }
        // By its path: nothing is written into a log that was moved away.
        let status = try recording { try Files.status("\(folder.path)/\(name)") }
        return status?.isFile(of: file) == true && status?.size == size
    }

    private mutating func reopen(_ name: String) throws(RecordFailure) {
        let path = "\(folder.path)/\(name)"
        let opened = try recording {
            try OpenFile(
                FileDescriptor(
                    path,
                    O_RDWR | O_CREAT | O_NOFOLLOW | O_APPEND,
                    mode: 0o600,
                    operation: "open \(path)"
                ),
                path
            )
        }
        let status = try recording { try opened.descriptor.status(path) }
        size = status.size
        file = opened
        self.name = name
    }

    private mutating func truncate(to length: Int64) throws(RecordFailure) {
        guard let file, ftruncate(file.descriptor.number, off_t(length)) == 0 else {
            throw RecordFailure("the decision log cannot be mended: error \(errno)")
        }
        size = length
    }

    /// Writes a line, whole or not at all.
    mutating func append(_ line: NewLine, to name: String) throws(RecordFailure) {
        if self.name != name {
            try reopen(name)
            try folder.setNewest(name)
        }
        guard let file else { return }
        let bytes = line.bytes + [0x0A]
        do throws(SystemError) {
            try file.descriptor.write(bytes, to: "\(folder.path)/\(name)")
        } catch {
            try truncate(to: size)
            throw RecordFailure(error.description)
        }
        lastStart = LogFolder.Place(name: name, offset: size)
        size += Int64(bytes.count)
        sequence = line.sequence
        digest = line.digest
        linesSincePlace += 1
    }

    func sync() throws(RecordFailure) {
        guard let file else { return }
        try recording { try file.descriptor.syncData(folder.path) }
    }

    /// A day as text, made once for all lines of it.
    mutating func text(ofDay number: Int64) -> String {
        if day.number != number { day = (number, CalendarDate(daysSince1970: number).description) }
        return day.text
    }

    // MARK: Among the writers

    /// Leaves word that this process writes, from here on.
    mutating func join() throws(RecordFailure) {
        let file = try folder.join(writer, at: lastStart)
        do throws(SystemError) { place = try OpenFile(file, folder.path) } catch {
            throw RecordFailure(error.description)
        }
    }

    /// Says from where on this process may have open intents, now and then: who looks for them later reads from there.
    mutating func rememberPlace() throws(RecordFailure) {
        guard linesSincePlace >= 1_024, let place else { return }
        linesSincePlace = 0
        let earliest = open.min { $0.key < $1.key }?.value ?? lastStart
        try folder.write(earliest, to: place.descriptor)
    }
}
