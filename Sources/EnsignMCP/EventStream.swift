/// Takes events off a stream as its pieces come (HTML, "Server-sent events"). Each byte is looked at once, however the
/// pieces are cut.
struct EventStream {
    private var bytes: [UInt8] = []
    /// Where the line begins that is not whole yet, and where the search for its end goes on.
    private var start = 0
    private var searched = 0
    /// The content of the `data` lines of the event under way.
    private var data: [UInt8] = []
    /// The last `id` that was read: it counts from the end of its event.
    private var id: String
    /// Where the stream can be gone on with.
    private(set) var place: EventPlace
    /// Whether nothing was read yet: a byte order mark there is no part of a line.
    private var isFirst = true
    /// Whether the line before ended with CR: an LF now belongs to its end. The line counts without waiting for that.
    private var isAfterCR = false

    /// - Parameter place: Where the stream was broken off, of one that goes on.
    init(from place: EventPlace = EventPlace()) {
        self.place = place
        id = place.id
    }

    /// How many bytes wait for the end of their event.
    var pending: Int { bytes.count - start + data.count }

    mutating func add(_ piece: some Sequence<UInt8>) {
        if start > 0 {
            bytes.removeSubrange(..<start)
            searched -= start
            start = 0
        }
        bytes += piece
    }

    /// The content of the next event; nil while none is whole.
    mutating func next() -> [UInt8]? {
        while let line = nextLine() {
            if line.isEmpty {
                defer { data = [] }
                place.id = id
                return data
            }
            if let value = Self.value(of: "data:", in: line) {
                if !data.isEmpty { data.append(0x0A) }
                data += value
            } else if let value = Self.value(of: "id:", in: line) {
                id = EventPlace.id(value)
            } else if let value = Self.value(of: "retry:", in: line), let retry = EventPlace.retry(value) {
                place.retry = retry
            }
        }
        return nil
    }

    /// What a line says of a field, without the one blank before it; nil where it is another field's.
    private static func value(of field: String, in line: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard line.starts(with: field.utf8) else { return nil }
        let value = line.dropFirst(field.utf8.count)
        return value.first == 0x20 ? value.dropFirst() : value
    }

    /// The next line without its end, which is CR, LF or both.
    private mutating func nextLine() -> ArraySlice<UInt8>? {
        guard isPastMark() else { return nil }
        if isAfterCR, start < bytes.count {
            isAfterCR = false
            if bytes[start] == 0x0A { pass(to: start + 1) }
        }
        guard let end = bytes[searched...].firstIndex(where: { $0 == 0x0A || $0 == 0x0D }) else {
            searched = bytes.count
            return nil
        }
        let line = bytes[start..<end]
        isAfterCR = bytes[end] == 0x0D
        pass(to: end + 1)
        return line
    }

    /// Whether lines can be read: false while nobody knows whether the first bytes are a byte order mark.
    private mutating func isPastMark() -> Bool {
        guard isFirst else { return true }
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let head = bytes.prefix(mark.count)
        guard head.count == mark.count || !mark.starts(with: head) else { return false }
        isFirst = false
        if head.elementsEqual(mark) { pass(to: mark.count) }
        return true
    }

    private mutating func pass(to place: Int) { (start, searched) = (place, place) }
}
