import EnsignModel

/// Checks a text before any parser sees it: encoding, control characters, characters that hide text.
///
/// libyaml would accept UTF-16, treat U+0085 and U+2028 as line breaks, and not report bidirectional overrides, which
/// show a reviewer different text from what the machine reads (CVE-2021-42574).
package enum TextScan {
    /// The most bytes a manifest may have.
    package static let limit = 1 << 20
    /// After this many problems the scan stops; warnings beyond it are left out.
    fileprivate static let maxProblems = 20

    /// What a scan found; positions count as ``YAMLMark`` does.
    package struct Result: Sendable {
        package var problems: [YAMLProblem] = []
        package var warnings: [YAMLProblem] = []
        /// Bytes to skip at the start: 3 when there is a UTF-8 byte order mark.
        package var start = 0
        /// False when the bytes are not UTF-8 text: parsing them makes no sense.
        package var isText = true
        /// What to parse: the text after the byte order mark, with a blank for each character that was refused, so that
        /// the rest can still be checked and keeps its positions. Empty when the bytes are not text.
        package var text: ArraySlice<UInt8> = []
    }

    /// Scans `bytes`.
    ///
    /// - Parameter manifest: true for YAML, where no bidirectional control and no exotic line break is accepted and a
    ///   line may not start with a tab; false for prose, where bidirectional controls are a warning.
    package static func scan(_ bytes: [UInt8], manifest: Bool) -> Result {
        var result = find(in: bytes, manifest: manifest)
        guard result.isText else { return result }
        result.text = bytes[result.start...]
        if !result.problems.isEmpty { result.text = blanked(result.text) }
        return result
    }

    /// The text with a blank for each character that a manifest may not have. Tabs stay: a blank would be an indent.
    private static func blanked(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var rest = String(decoding: bytes, as: UTF8.self).unicodeScalars[...]
        while let scalar = rest.popFirst() {
            let isRefused =
                switch scalar.value {
                case 0x09, 0x0A: false
                case 0x0D: rest.first != "\n"
                default:
                    scalar.value < 0x20 || scalar.value == 0x7F || isExotic(scalar.value)
                        || isBidirectional(scalar.value)
                }
            if isRefused { result.append(0x20) } else { result.append(contentsOf: UTF8.encode(scalar) ?? .init()) }
        }
        return result[...]
    }

    /// C1 controls, line breaks that only some readers recognise, a byte order mark inside the text.
    fileprivate static func isExotic(_ scalar: UInt32) -> Bool {
        (0x80...0x9F).contains(scalar) || scalar == 0x2028 || scalar == 0x2029 || scalar == 0xFEFF
    }

    /// Controls that show a text in a different order.
    fileprivate static func isBidirectional(_ scalar: UInt32) -> Bool {
        (0x202A...0x202E).contains(scalar) || (0x2066...0x2069).contains(scalar)
    }

    static let combiningCode = "combining-characters"
    static let combiningMessage = "more than \(StreamSafe.limit) combining characters in a row"
    static let combiningHint = "no text needs so many: remove them"

    private static func find(in bytes: [UInt8], manifest: Bool) -> Result {
        if isPlain(bytes) { return Result() }
        var walk = TextWalk(manifest: manifest)
        if walk.takeByteOrderMark(bytes) { walk.run(bytes) }
        return walk.result
    }

    /// Whether there is nothing but printable ASCII and LF, as in nearly every file: then nothing needs a position.
    ///
    /// No early exit, so that the compiler checks many bytes at a time.
    private static func isPlain(_ bytes: [UInt8]) -> Bool {
        var others: UInt8 = 0
        for byte in bytes where byte != 0x0A { others |= byte &- 0x20 < 0x5F ? 0 : 1 }
        return others == 0
    }
}

/// One walk over a text that is not plain ASCII.
private struct TextWalk {
    private(set) var result = TextScan.Result()
    private let manifest: Bool
    private var index = 0
    private var line: UInt32 = 1
    private var column: UInt32 = 1
    private var atLineStart = true
    /// Combining characters in a row, up to here.
    private var combining = 0

    init(manifest: Bool) { self.manifest = manifest }

    /// Looks at the first bytes: false for UTF-16, which is not walked over.
    mutating func takeByteOrderMark(_ bytes: [UInt8]) -> Bool {
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            refuse("encoding", "the file is UTF-16", "save it as UTF-8")
            result.isText = false
            return false
        }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            result.start = 3
            result.warnings.append(
                YAMLProblem(
                    code: "byte-order-mark",
                    message: "the file starts with a byte order mark",
                    hint: "save it as UTF-8 without one",
                    mark: mark
                )
            )
        }
        return true
    }

    mutating func run(_ bytes: [UInt8]) {
        index = result.start
        unsafe bytes.withUnsafeBufferPointer { buffer in
            while index < buffer.count, result.problems.count < TextScan.maxProblems {
                unsafe skipPrintable(buffer)
                guard index < buffer.count else { return }
                if unsafe buffer[index] < 0x80 {
                    unsafe takeControl(buffer)
                } else {
                    guard unsafe takeScalar(buffer) else {
                        result.isText = false
                        return
                    }
                }
            }
        }
    }

    /// Steps over printable ASCII, which most of a text is.
    private mutating func skipPrintable(_ buffer: UnsafeBufferPointer<UInt8>) {
        var next = index
        while next < buffer.count, unsafe buffer[next] &- 0x20 < 0x5F { next += 1 }
        guard next > index else { return }
        column += UInt32(next - index)
        (index, combining, atLineStart) = (next, 0, false)
    }

    /// Takes a line feed, or another control character of ASCII.
    private mutating func takeControl(_ buffer: UnsafeBufferPointer<UInt8>) {
        let byte = unsafe buffer[index]
        combining = 0
        if byte == 0x0A {
            line += 1
            column = 1
            atLineStart = true
            index += 1
            return
        }
        let isBreak = byte == 0x0D && (unsafe index + 1 < buffer.count && buffer[index + 1] == 0x0A)
        if byte == 0x09 {
            if atLineStart, manifest { refuse("tab", "a tab cannot indent", "use spaces") }
        } else if !isBreak {
            refuse(
                "control-character",
                "control character \(Self.codePoint(UInt32(byte))) in the text",
                byte == 0x0D ? "end lines with LF" : "remove it"
            )
            if byte == 0 { result.isText = false }
        }
        atLineStart = false
        index += 1
        column += 1
    }

    /// - Returns: false for what ends the walk: the bytes are not a text that a person reads.
    private mutating func takeScalar(_ buffer: UnsafeBufferPointer<UInt8>) -> Bool {
        atLineStart = false
        guard let (scalar, length) = unsafe Self.decode(buffer, at: index) else {
            refuse("encoding", "the bytes here are not UTF-8", "save the file as UTF-8")
            return false
        }
        combining = Unicode.Scalar(scalar).map(StreamSafe.isCombining) == true ? combining + 1 : 0
        guard combining <= StreamSafe.limit else {
            refuse(TextScan.combiningCode, TextScan.combiningMessage, TextScan.combiningHint)
            return false
        }
        if TextScan.isExotic(scalar) {
            doubt(
                "control-character",
                "\(Self.codePoint(scalar)) in the text",
                "remove it, or write it as an escape in double quotes"
            )
        }
        if TextScan.isBidirectional(scalar) {
            doubt(
                "bidirectional-control",
                "bidirectional control \(Self.codePoint(scalar)) can show other text than it is",
                "remove it"
            )
        }
        index += length
        column += 1
        return true
    }

    // MARK: What is found

    private var mark: YAMLMark { YAMLMark(line: line, column: column) }

    private mutating func refuse(_ code: String, _ message: String, _ hint: String) {
        result.problems.append(YAMLProblem(code: code, message: message, hint: hint, mark: mark))
    }

    /// A character that hides text is an error in a manifest and a warning in prose.
    private mutating func doubt(_ code: String, _ message: String, _ hint: String) {
        if manifest {
            refuse(code, message, hint)
        } else if result.warnings.count < TextScan.maxProblems {
            result.warnings.append(YAMLProblem(code: code, message: message, hint: hint, mark: mark))
        }
    }

    // MARK: Scalars

    /// Decodes one scalar by the table of well-formed sequences in Unicode 15, table 3-7. Nil when ill-formed.
    private static func decode(_ buffer: UnsafeBufferPointer<UInt8>, at index: Int) -> (UInt32, Int)? {
        let lead = unsafe buffer[index]
        let length: Int
        var scalar: UInt32
        switch lead {
        case 0xC2...0xDF: (length, scalar) = (2, UInt32(lead & 0x1F))
        case 0xE0...0xEF: (length, scalar) = (3, UInt32(lead & 0x0F))
        case 0xF0...0xF4: (length, scalar) = (4, UInt32(lead & 0x07))
        default: return nil
        }
        guard index + length <= buffer.count else { return nil }
        for offset in 1..<length {
            let next = unsafe buffer[index + offset]
            guard next & 0xC0 == 0x80 else { return nil }
            scalar = scalar << 6 | UInt32(next & 0x3F)
        }
        switch length {
        case 3 where scalar < 0x800 || (0xD800...0xDFFF).contains(scalar): return nil
        case 4 where scalar < 0x10000 || scalar > 0x10FFFF: return nil
        default: return (scalar, length)
        }
    }

    private static func codePoint(_ scalar: UInt32) -> String {
        let digits = String(scalar, radix: 16, uppercase: true)
        return "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
