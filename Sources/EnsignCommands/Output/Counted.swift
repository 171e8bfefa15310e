import EnsignModel

/// `1 error`, `2 errors`.
func counted(_ number: Int64, _ noun: String) -> String { counted(Int(number), noun) }

func counted(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

extension String {
    /// The text up to a word's end, with an ellipsis, if it takes more than `limit` bytes.
    func shortened(to limit: Int) -> String {
        let cut = self.cut(utf8: limit)
        guard cut.utf8.count < utf8.count || !cut.utf8.elementsEqual(utf8) else { return self }
        let beginning = cut.dropLast(3)
        // A long word is cut all the same.
        let end = beginning.utf8.lastIndex(of: 0x20).flatMap { beginning[..<$0].utf8.count > limit / 2 ? $0 : nil }
        return beginning[..<(end ?? beginning.endIndex)] + "..."
    }
}
