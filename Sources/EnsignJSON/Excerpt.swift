import EnsignModel

extension String {
    /// The beginning of the text, on one line.
    func excerpt(_ most: Int = 60) -> String {
        let beginning = unicodeScalars.prefix(most)
        return String(beginning).onOneLine + (beginning.endIndex < unicodeScalars.endIndex ? "…" : "")
    }

    /// The beginning of the text in single quotes, on one line.
    var quotedExcerpt: String { "'" + excerpt() + "'" }
}
