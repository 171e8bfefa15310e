import EnsignCommandLine
import Glibc

/// Lines of standard input, in place: a hundred million samples are read without a copy of each.
enum InputLines {
    @unsafe enum Line {
        /// Without its line feed. Valid as long as the call.
        case whole(UnsafeRawBufferPointer)
        /// Longer than ``longest``.
        case tooLong
    }

    /// The longest line that is looked at, in bytes.
    static let longest = 1 << 16

    /// Hands each line to `body`, the last one also without a line feed.
    ///
    /// - Throws: ``Failure`` when standard input cannot be read.
    static func read(_ body: (Line) -> Void) throws {
        let capacity = 1 << 18
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        defer { unsafe buffer.deallocate() }
        var filled = 0
        // Within a line that is too long to look at.
        var isSkipping = false
        while true {
            let count = unsafe Glibc.read(0, buffer + filled, capacity - filled)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw Failure(message: unsafe "cannot read standard input: \(String(cString: strerror(errno)))")
            }
            let end = filled + count
            var start = 0
            while start < end, let found = unsafe memchr(buffer + start, 0x0A, end - start) {
                let stop = unsafe UnsafeRawPointer(found) - UnsafeRawPointer(buffer)
                if isSkipping {
                    isSkipping = false
                } else {
                    unsafe body(.whole(UnsafeRawBufferPointer(start: buffer + start, count: stop - start)))
                }
                start = stop + 1
            }
            if count == 0 {
                if start < end, !isSkipping {
                    unsafe body(.whole(UnsafeRawBufferPointer(start: buffer + start, count: end - start)))
                }
                return
            }
            filled = end - start
            if filled > longest {
                if !isSkipping { unsafe body(.tooLong) }
                isSkipping = true
                filled = 0
            } else if filled > 0, start > 0 {
                unsafe memmove(buffer, buffer + start, filled)
            }
        }
    }
}
