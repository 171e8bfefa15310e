/// Takes events off a stream as its pieces come (HTML, "Server-sent events"). Each byte is looked at once, however the
/// pieces are cut.
struct EventStream {
    private var bytes: [UInt8] = []
    /// Where the line begins that is not whole yet, and where the search for its end goes on.
    private var start = 0
    private var searched = 0
    /// The content of the `data` lines of the event under way.
    private var data: [UInt8] = []

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
        while let end = bytes[searched...].firstIndex(of: 0x0A) {
            var line = bytes[start..<end]
            if line.last == 0x0D { line = line.dropLast() }
            (start, searched) = (end + 1, end + 1)
            if line.isEmpty {
                defer { data = [] }
                return data
            }
            guard line.starts(with: "data:".utf8) else { continue }
            line = line.dropFirst(5)
            if line.first == 0x20 { line = line.dropFirst() }
            if !data.isEmpty { data.append(0x0A) }
            data += line
        }
        searched = bytes.count
        return nil
    }
}
