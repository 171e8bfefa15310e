import EnsignSystem
import Glibc

/// Lines off a descriptor that does not block, as they come, without the byte order mark that the first may begin with.
struct LineBuffer: Sendable {
    private let most: Int
    private var bytes: [UInt8] = []
    private var start = 0
    private var searched = 0
    private var isFirst = true
    private(set) var isTooLong = false

    init(most: Int) { self.most = most }

    /// Takes what there is.
    ///
    /// - Returns: false at the end.
    mutating func fill(from number: Int32) -> Bool {
        if start > 0 {
            bytes.removeFirst(start)
            searched -= start
            start = 0
        }
        return unsafe withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 1) { buffer in
            let count = unsafe Glibc.read(number, buffer.baseAddress, buffer.count)
            guard count > 0 else { return count < 0 && (errno == EINTR || errno == EAGAIN) }
            unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            return true
        }
    }

    /// The next line without its end; nil while none is whole.
    mutating func next() -> [UInt8]? {
        guard let end = bytes[searched...].firstIndex(of: 0x0A) else {
            searched = bytes.count
            isTooLong = bytes.count - start > most
            return nil
        }
        defer { (start, searched, isFirst) = (end + 1, end + 1, false) }
        if end - start > most { isTooLong = true }
        let line = Array(bytes[start..<end])
        return isFirst ? ByteOrderMark.without(line) : line
    }
}
