extension String {
    /// The text without characters that would act on a terminal or hide text: each becomes `\u{…}`.
    var printable: String {
        if utf8.allSatisfy({ (0x20..<0x7F).contains($0) }) { return self }
        var text = ""
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
                text += "\\u{" + String(scalar.value, radix: 16) + "}"
            default:
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    /// The beginning of the text, printable.
    func excerpt(_ most: Int = 60) -> String {
        let beginning = unicodeScalars.prefix(most)
        return String(beginning).printable + (beginning.endIndex < unicodeScalars.endIndex ? "…" : "")
    }

    /// The beginning of the text in single quotes, printable.
    var quotedExcerpt: String { "'" + excerpt() + "'" }
}
