/// Takes events off a stream as its pieces come (HTML, "Server-sent events"). Each byte is looked at once, however the
/// pieces are cut.
struct EventStream {
    private var bytes: [UInt8] = []
    /// Where the line begins that is not whole yet, and where the search for its end goes on.
    private var start = 0
    private var searched = 0
    /// The content of the `data` lines of the event under way.
    private var data: [UInt8] = []
    /// Whether nothing was read yet: a byte order mark there is no part of a line.
    private var isFirst = true
    /// Whether the line before ended with CR: an LF now belongs to its end. The line counts without waiting for that.
    private var isAfterCR = false

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
                return data
            }
            guard line.starts(with: "data:".utf8) else { continue }
            var value = line.dropFirst(5)
            if value.first == 0x20 { value = value.dropFirst() }
            if !data.isEmpty { data.append(0x0A) }
            data += value
        }
        return nil
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
