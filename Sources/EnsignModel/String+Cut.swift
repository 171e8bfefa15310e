extension StringProtocol {
    /// The beginning of a text from outside, for a record, a status or a message.
    ///
    /// Counts bytes of UTF-8 as JSON writes them, never characters: one letter may carry any number of combining marks.
    /// The cut is between scalars; `...` marks what was left out.
    ///
    /// - Parameter most: The most bytes that the result takes between the quotes of a JSON text, `...` included; 3 or more.
    package func cut(utf8 most: Int) -> String {
        // No byte becomes more than six (`\u0000`), and most stay one.
        let count = utf8.count
        if count <= most / 6 || (count <= most && !utf8.contains(where: \.mustBeEscaped)) { return String(self) }
        var size = 0
        var end = startIndex
        for index in unicodeScalars.indices {
            if size <= most - 3 { end = index }
            size += unicodeScalars[index].sizeInJSON
            if size > most { return String(self[..<end]) + "..." }
        }
        return String(self)
    }
}

extension Unicode.Scalar {
    /// Bytes of UTF-8, escaped as RFC 8785, section 3.2.2.2 says.
    fileprivate var sizeInJSON: Int {
        switch self {
        case "\"", "\\", "\u{8}", "\t", "\n", "\u{C}", "\r": 2
        case "\u{0}"..<"\u{20}": 6
        default: UTF8.width(self)
        }
    }
}

extension String {
    /// The text up to a word's end, with an ellipsis, if it takes more than `limit` bytes.
    package func shortened(to limit: Int) -> String {
        let cut = self.cut(utf8: limit)
        guard cut.utf8.count < utf8.count || !cut.utf8.elementsEqual(utf8) else { return self }
        let beginning = cut.dropLast(3)
        // A long word is cut anyway.
        let end = beginning.utf8.lastIndex(of: 0x20).flatMap { beginning[..<$0].utf8.count > limit / 2 ? $0 : nil }
        return beginning[..<(end ?? beginning.endIndex)] + "..."
    }
}
