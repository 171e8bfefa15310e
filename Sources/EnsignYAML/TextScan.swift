import EnsignModel

/// Checks a text before any parser sees it: encoding, control characters, characters that hide text.
///
/// libyaml would accept UTF-16, treat U+0085 and U+2028 as line breaks, and not report bidirectional overrides, which
/// show a reviewer different text from what the machine reads (CVE-2021-42574).
package enum TextScan {
    /// The most bytes a manifest may have.
    package static let limit = 1 << 20
    /// After this many problems the scan stops; warnings beyond it are left out.
    private static let maxProblems = 20

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
    private static func isExotic(_ scalar: UInt32) -> Bool {
        (0x80...0x9F).contains(scalar) || scalar == 0x2028 || scalar == 0x2029 || scalar == 0xFEFF
    }

    /// Controls that show a text in a different order.
    private static func isBidirectional(_ scalar: UInt32) -> Bool {
        (0x202A...0x202E).contains(scalar) || (0x2066...0x2069).contains(scalar)
    }

    static let combiningCode = "combining-characters"
    static let combiningMessage = "more than \(StreamSafe.limit) combining characters in a row"
    static let combiningHint = "no text needs so many: remove them"

    private static func find(in bytes: [UInt8], manifest: Bool) -> Result {
        var result = Result()
        if isPlain(bytes) { return result }
        let first = YAMLMark(line: 1, column: 1)
        func refuse(_ code: String, _ message: String, _ hint: String?, _ mark: YAMLMark) {
            result.problems.append(YAMLProblem(code: code, message: message, hint: hint, mark: mark))
        }
        /// A character that hides text is an error in a manifest and a warning in prose.
        func doubt(_ problem: YAMLProblem) {
            if manifest {
                result.problems.append(problem)
            } else if result.warnings.count < maxProblems {
                result.warnings.append(problem)
            }
        }
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            refuse("encoding", "the file is UTF-16", "save it as UTF-8", first)
            result.isText = false
            return result
        }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            result.start = 3
            result.warnings.append(
                YAMLProblem(
                    code: "byte-order-mark",
                    message: "the file starts with a byte order mark",
                    hint: "save it as UTF-8 without one",
                    mark: first
                )
            )
        }
        var index = result.start
        var line: UInt32 = 1
        var column: UInt32 = 1
        var atLineStart = true
        var combining = 0
        let count = bytes.count
        unsafe bytes.withUnsafeBufferPointer { buffer in
            while index < count, result.problems.count < maxProblems {
                let byte = unsafe buffer[index]
                let mark = YAMLMark(line: line, column: column)
                if byte < 0x80 {
                    combining = 0
                    if byte == 0x0A {
                        line += 1
                        column = 1
                        atLineStart = true
                        index += 1
                        continue
                    }
                    if byte < 0x20 || byte == 0x7F {
                        let isBreak = byte == 0x0D && (unsafe index + 1 < count && buffer[index + 1] == 0x0A)
                        if byte == 0x09 {
                            if atLineStart, manifest {
                                refuse("tab", "a tab cannot indent", "use spaces", mark)
                            }
                        } else if !isBreak {
                            refuse(
                                "control-character",
                                "control character \(codePoint(UInt32(byte))) in the text",
                                byte == 0x0D ? "end lines with LF" : "remove it",
                                mark
                            )
                            if byte == 0 { result.isText = false }
                        }
                    }
                    atLineStart = false
                    index += 1
                    column += 1
                    continue
                }
                atLineStart = false
                guard let (scalar, length) = unsafe decode(buffer, at: index) else {
                    refuse("encoding", "the bytes here are not UTF-8", "save the file as UTF-8", mark)
                    result.isText = false
                    return
                }
                combining = Unicode.Scalar(scalar).map(StreamSafe.isCombining) == true ? combining + 1 : 0
                guard combining <= StreamSafe.limit else {
                    refuse(combiningCode, combiningMessage, combiningHint, mark)
                    result.isText = false
                    return
                }
                if isExotic(scalar) {
                    doubt(
                        YAMLProblem(
                            code: "control-character",
                            message: "\(codePoint(scalar)) in the text",
                            hint: "remove it, or write it as an escape in double quotes",
                            mark: mark
                        )
                    )
                }
                if isBidirectional(scalar) {
                    doubt(
                        YAMLProblem(
                            code: "bidirectional-control",
                            message: "bidirectional control \(codePoint(scalar)) can show other text than it is",
                            hint: "remove it",
                            mark: mark
                        )
                    )
                }
                index += length
                column += 1
            }
        }
        return result
    }

    /// Whether there is nothing but printable ASCII and LF, as in nearly every file: then nothing needs a position.
    ///
    /// No early exit, so that the compiler checks many bytes at a time.
    private static func isPlain(_ bytes: [UInt8]) -> Bool {
        var others: UInt8 = 0
        for byte in bytes where byte != 0x0A { others |= byte &- 0x20 < 0x5F ? 0 : 1 }
        return others == 0
    }

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
