/// Why bytes are not an accepted JSON text, and where.
package struct JSONError: Error, Sendable, Hashable {
    package enum Code: String, Sendable, Hashable {
        /// Not JSON, or not UTF-8.
        case syntax = "json-syntax"
        case duplicateKey = "json-duplicate-key"
        case tooDeep = "json-too-deep"
        case numberOutOfRange = "json-number-out-of-range"
        case tooLarge = "json-too-large"
    }

    package let code: Code
    /// The number of bytes before the error, at most all of them.
    package let offset: Int
    /// Counted from 1.
    package let line: Int
    /// In Unicode scalars, counted from 1.
    package let column: Int
    package let message: String
}

extension JSONError: CustomStringConvertible {
    package var description: String { "\(line):\(column): \(message)" }
}

extension JSONError {
    /// Creates an error at an offset into the bytes.
    init(_ code: Code, at offset: Int, in bytes: UnsafeRawBufferPointer, message: String) {
        var line = 1
        var column = 1
        for index in 0..<min(offset, bytes.count) {
            let byte = unsafe bytes[index]
            if byte == UInt8(ascii: "\n") {
                line += 1
                column = 1
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
        self.init(code: code, offset: offset, line: line, column: column, message: message)
    }
}
