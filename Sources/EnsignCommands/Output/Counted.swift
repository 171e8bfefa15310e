/// `1 error`, `2 errors`.
func counted(_ number: Int64, _ noun: String) -> String { counted(Int(number), noun) }

func counted(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

extension String {
    /// The text up to a word's end, with an ellipsis, if it is longer than `limit` characters.
    func shortened(to limit: Int) -> String {
        guard count > limit else { return self }
        let cut = prefix(limit - 3)
        // A long word is cut all the same.
        let end = cut.lastIndex(of: " ").flatMap { cut.distance(from: cut.startIndex, to: $0) > limit / 2 ? $0 : nil }
        return cut[..<(end ?? cut.endIndex)] + "..."
    }
}
