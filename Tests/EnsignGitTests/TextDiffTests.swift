import EnsignGit
import Testing

@Suite struct TextDiffTests {
    /// The diff once pointed into memory that had been given back: its output depended on what came there since.
    @Test("A difference shows the texts' own lines, whatever memory is used for meanwhile")
    func lines() throws {
        for round in 0..<200 {
            let old = (0..<40).map { "line \($0) of round \(round)\n" }.joined()
            let new = old.replacingOccurrences("line 20 ", "another line 20 ")
            let diff = try TextDiff.unified(old, new)
            let noise = (0..<8).map { _ in [UInt8](repeating: 0xA5, count: old.utf8.count + round) }
            #expect(noise.count == 8)
            #expect(diff.contains("-line 20 of round \(round)\n+another line 20 of round \(round)\n"))
            #expect(diff.utf8.allSatisfy { $0 == 0x0A || (0x20..<0x7F).contains($0) })
        }
    }
}

extension String {
    fileprivate func replacingOccurrences(_ old: String, _ new: String) -> String {
        guard let range = range(of: old) else { return self }
        return String(self[..<range.lowerBound]) + new + String(self[range.upperBound...])
    }

    private func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
