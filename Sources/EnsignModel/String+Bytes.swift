extension String {
    /// The beginning that has at most so many bytes of UTF-8, whole scalars alone.
    ///
    /// For text that others wrote and that has to fit: one character can have any number of bytes.
    package func kept(bytes limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var kept = String.UnicodeScalarView()
        var count = 0
        for scalar in unicodeScalars {
            count += UTF8.width(scalar)
            guard count <= limit else { break }
            kept.append(scalar)
        }
        return String(kept)
    }
}
