import CSodium

/// The text that OpenSSH wraps around binary files: a BEGIN line, base64 in lines, an END line (PROTOCOL.sshsig,
/// section 1; PROTOCOL.key uses the same form).
struct Armor {
    /// How long OpenSSH makes the lines of base64 (`sshbuf_dtob64`). PROTOCOL.sshsig says 76; the code does not.
    static let columns = 70

    /// The longest text that is read: many times the longest signature or unencrypted key that OpenSSH writes.
    static let byteLimit = 65_536

    /// The line before the base64, without its line feed.
    let begin: StaticString

    /// The line after the base64, without a line feed.
    let end: StaticString

    /// The armor of signatures.
    static let signature = Armor(begin: "-----BEGIN SSH SIGNATURE-----", end: "-----END SSH SIGNATURE-----")

    /// The armor of private keys.
    static let privateKey = Armor(
        begin: "-----BEGIN OPENSSH PRIVATE KEY-----",
        end: "-----END OPENSSH PRIVATE KEY-----"
    )

    /// Where the base64 of a text is, and whether it is laid out as OpenSSH would.
    struct Body {
        /// From the first character of the first line to the last of the last line.
        let range: Range<Int>
        /// Whether all lines but the last have 70 characters, and the last one no more.
        let hasOpenSSHColumns: Bool
    }

    /// Why a text is not in this armor, in words for people.
    struct Malformed: Error {
        /// The words.
        let why: String
    }

    /// Returns the text for `blob`: lines of 70 characters and a final line feed, byte for byte as ssh-keygen writes
    /// it. No other copy of it is left in memory.
    func text(_ blob: Span<UInt8>) -> String {
        let count = Base64.encodedCount(blob.count)
        let lines = (count + Self.columns - 1) / Self.columns
        let start = begin.utf8CodeUnitCount + 1
        let capacity = start + count + lines + end.utf8CodeUnitCount + 1
        return unsafe String(unsafeUninitializedCapacity: capacity) { output in
            // One line first, so far behind that no line that moves forward meets one that has not.
            let from = start + lines
            let room = unsafe UnsafeMutableBufferPointer(rebasing: output[from...])
            _ = unsafe Base64.encode(blob, padding: .padded, into: UnsafeMutableRawBufferPointer(room))
            var position = 0
            func put(_ byte: UInt8) {
                unsafe output[position] = byte
                position += 1
            }
            func put(_ text: StaticString) {
                for index in 0..<text.utf8CodeUnitCount { unsafe put(text.utf8Start[index]) }
                put(0x0A)
            }
            put(begin)
            for index in 0..<count {
                unsafe put(output[from + index])
                if index % Self.columns == Self.columns - 1 || index == count - 1 { put(0x0A) }
            }
            put(end)
            return position
        }
    }

    /// The text without what OpenSSH passes over: what follows the END line, and white space within the base64. A text
    /// that does not begin as it should, or has no end, stays as it is.
    func tidied(_ text: [UInt8]) -> [UInt8] {
        let begin = Array("\(begin)\n".utf8)
        let end = Array("\n\(end)".utf8)
        guard text.count <= Self.byteLimit, text.starts(with: begin),
            let last = text[(begin.count - 1)...].firstRange(of: end)
        else { return text }
        let body = text[begin.count..<max(begin.count, last.lowerBound)].filter {
            $0 != 0x20 && !(0x09...0x0D).contains($0)
        }
        return begin + body + end + [0x0A]
    }

    /// Finds the base64 in `text`, which must be the BEGIN line, lines that are not empty, and the END line with or
    /// without a line feed; nothing before and nothing after. The decoder checks the characters of the lines.
    func body(of text: Span<UInt8>) throws(Malformed) -> Body {
        guard text.count <= Self.byteLimit else { throw Malformed(why: "longer than \(Self.byteLimit) bytes") }
        guard text.hasPrefix(begin), text.count > begin.utf8CodeUnitCount, text[begin.utf8CodeUnitCount] == 0x0A else {
            throw Malformed(why: "the first line is not '\(begin)'")
        }
        let start = begin.utf8CodeUnitCount + 1
        let last = text[text.count - 1] == 0x0A ? text.count - 1 : text.count
        let bodyEnd = last - end.utf8CodeUnitCount - 1
        guard bodyEnd > start, text[bodyEnd] == 0x0A,
            text.extracting((bodyEnd + 1)..<last).equals(end)
        else {
            throw Malformed(why: "it does not end with the line '\(end)'")
        }

        var column = 0
        var longest = 0
        var shortBeforeLast = false
        for index in start..<bodyEnd {
            if text[index] == 0x0A {
                guard column > 0 else { throw Malformed(why: "an empty line in the base64") }
                if column < Self.columns { shortBeforeLast = true }
                column = 0
            } else {
                column += 1
                longest = max(longest, column)
            }
        }
        guard column > 0 else { throw Malformed(why: "an empty line in the base64") }
        return Body(
            range: start..<bodyEnd,
            hasOpenSSHColumns: longest <= Self.columns && !shortBeforeLast
        )
    }
}
