/// The five fields of a crontab line: minute, hour, day of the month, month, day of the week.
///
/// POSIX, crontab, section INPUT FILES; steps (`*/5`) and names (`mon`) as in Vixie's crontab(5).
enum Schedule {
    private static let fields: [(name: String, range: ClosedRange<Int>, names: [String])] = [
        ("the minute", 0...59, []), ("the hour", 0...23, []), ("the day of the month", 1...31, []),
        ("the month", 1...12, ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
        ("the day of the week", 0...7, ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
    ]

    /// What is wrong with a schedule; nil when nothing is.
    static func problem(_ text: String) -> String? {
        let parts = text.split(separator: " ")
        guard parts.count == fields.count else {
            return "'\(text)' is not a schedule: write five fields, such as '0 7 * * mon-fri'"
        }
        for (part, field) in zip(parts, fields) {
            let elements = part.split(separator: ",", omittingEmptySubsequences: false)
            guard !elements.allSatisfy({ isValid($0, field.range, field.names) }) else { continue }
            return
                "'\(part)' is not \(field.name): \(field.range.lowerBound) to \(field.range.upperBound), '*', a range or a step"
        }
        return nil
    }

    /// `*`, `5`, `1-5`, `*/10`, `8-18/2`, `mon`.
    private static func isValid(_ element: Substring, _ range: ClosedRange<Int>, _ names: [String]) -> Bool {
        let halves = element.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if halves.count == 2 {
            guard let step = number(halves[1], names: [], range), step > 0 else { return false }
        }
        guard halves[0] != "*" else { return true }
        let ends = halves[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let values = ends.compactMap { number($0, names: names, range) }
        guard values.count == ends.count, values.allSatisfy(range.contains) else { return false }
        return values.count == 2 ? values[0] <= values[1] : halves.count == 1
    }

    private static func number(_ text: Substring, names: [String], _ range: ClosedRange<Int>) -> Int? {
        if let index = names.firstIndex(of: text.lowercased()) { return index + range.lowerBound }
        guard (1...2).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text)
    }
}
