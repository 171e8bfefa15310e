package import EnsignCrypto
package import EnsignModel
import EnsignSystem

/// Whether a decision log is whole: each line follows from the one before, was written by the gateway, and agrees with every
/// signed head.
package struct LogCheck: Sendable {
    /// Something that is not as it was written.
    package struct Problem: Sendable, Hashable {
        /// A file's name, and a line of it, counted from 1; 0 for the file as a whole.
        package var file: String
        package var line: Int
        /// The number that the line has, or had to have.
        package var sequence: Int64?
        package var message: String
    }

    /// What lines are held against.
    package struct Keys: Sendable {
        /// Nil where it is not at hand: then only the chain and the heads are checked.
        package var secret: LogSecret?
        /// Nil where it is not at hand: then heads are not checked.
        package var heads: SSHPublicKey?

        package init(secret: LogSecret?, heads: SSHPublicKey?) {
            self.secret = secret
            self.heads = heads
        }
    }

    /// How many lines were read.
    package private(set) var lines = 0
    package private(set) var first: Int64?
    package private(set) var last: Int64?
    package private(set) var heads = 0
    /// Intents that have no outcome yet.
    package var open: Int { intents.count }
    /// At most ``mostProblems``.
    package private(set) var problems: [Problem] = []
    package var isWhole: Bool { problems.isEmpty }

    package static let mostProblems = 20

    private var previous: Digest?
    private var intents: Set<Int64> = []
    /// Heads by number, whose line is not read yet.
    private var awaited: [Int64: LogHead] = [:]
    private var newestHead: LogHead?
    /// The highest number of a line before which lines were removed by age, as signed heads say.
    private var keptFrom: Int64 = 1
    private let keys: Keys
    /// Whether all lines are to be there that were not removed by age.
    private let isAll: Bool

    /// - Parameter isAll: Whether a whole log is checked, and not some of its files.
    package init(_ keys: Keys, isAll: Bool = false) { (self.keys, self.isAll) = (keys, isAll) }

    /// Checks files in their order.
    ///
    /// - Parameters:
    ///   - files: Paths of the days' files, oldest first.
    ///   - heads: Files with signed heads, a line each: the log's own, and what was kept elsewhere.
    ///   - folder: The folder of a whole log, whose own heads must be among them.
    ///   - isAll: Whether the files are all that a log has; so they are with a folder.
    /// - Throws: ``RecordFailure`` when one cannot be read.
    package static func check(
        files: [String],
        heads: [String],
        keys: Keys,
        folder: LogFolder? = nil,
        isAll: Bool = false
    ) throws(RecordFailure) -> LogCheck {
        var check = LogCheck(keys, isAll: isAll || folder != nil)
        for file in heads { try check.take(headsOf: file) }
        for file in files { try check.take(linesOf: file) }
        check.end()
        if let folder { try check.take(newestOf: folder) }
        if check.lines == 0, check.isWhole { check.report("", 0, nil, "there are no lines") }
        if folder != nil, check.heads == 0, check.lines > 0 {
            check.report("", 0, nil, "there is no signed head, and the first line gets one")
        }
        return check
    }

    // MARK: Heads

    private mutating func take(headsOf file: String) throws(RecordFailure) {
        var number = 0
        try LogReader.lines(of: file) { bytes, isWhole throws(RecordFailure) in
            number += 1
            guard let head = LogHead(bytes), isWhole else {
                report(file, number, nil, "this is not a signed head")
                return problems.count < Self.mostProblems
            }
            heads += 1
            if let key = keys.heads, !head.isSigned(by: key) {
                report(file, number, head.sequence, "the gateway did not sign this head")
                return problems.count < Self.mostProblems
            }
            if let other = awaited[head.sequence], other.digest != head.digest {
                report(file, number, head.sequence, "two signed heads name different lines: the log was written anew")
            }
            awaited[head.sequence] = head
            keptFrom = max(keptFrom, head.first ?? 1)
            if head.sequence > newestHead?.sequence ?? 0 { newestHead = head }
            return true
        }
    }

    // MARK: Files

    /// Whether the folder's word for where the next line goes can be one.
    private mutating func take(newestOf folder: LogFolder) throws(RecordFailure) {
        let file = "\(folder.path)/newest"
        guard try recording({ try Files.status(file) }) != nil else { return }
        guard let bytes = try recording({ try Files.readOwn(file, limit: 64) }) else {
            return report(file, 0, nil, "this is longer than the name of a file")
        }
        switch LogFolder.name(ofNewest: bytes) {
        case .none: break
        case .garbage: report(file, 1, nil, "this names no file of a day: it was edited, or the disk is damaged")
        case .name(let name):
            do throws(RecordFailure) { _ = try folder.newest(name) } catch {
                report(
                    file,
                    1,
                    nil,
                    "this names \(name), which is not the newest file: it was edited, or files are missing"
                )
            }
        }
    }

    /// Whether a file has the name of the day on which its first line was written: the only one that it ever gets.
    private mutating func take(day line: LogLine, of file: String) {
        let name = file.split(separator: "/").last.map(String.init) ?? file
        guard let day = line.json["time"]?.string?.prefix(10), CalendarDate(name.prefix(10)) != nil,
            name.dropFirst(10).hasPrefix(".jsonl"), day != name.prefix(10)
        else { return }
        report(
            file,
            1,
            line.sequence,
            "the first line is of \(String(day).quoted(utf8: 20)), and the file has another day's name"
        )
    }

    // MARK: Lines

    private mutating func take(linesOf file: String) throws(RecordFailure) {
        var number = 0
        try LogReader.lines(of: file) { bytes, isWhole throws(RecordFailure) in
            number += 1
            guard isWhole, let line = LogLine(bytes) else {
                report(file, number, last.map { $0 + 1 }, Self.words(bytes, isWhole))
                previous = nil
                last = last.map { $0 + 1 }
                return problems.count < Self.mostProblems
            }
            if number == 1 { take(day: line, of: file) }
            take(line, file, number)
            return problems.count < Self.mostProblems
        }
    }

    /// What is wrong with bytes that are not a line.
    private static func words(_ bytes: [UInt8], _ isWhole: Bool) -> String {
        if bytes.count > LogLine.mostBytes {
            let rest = isWhole ? "" : ", and what may be behind it was not read"
            return "this line is longer than the \(LogLine.mostBytes) bytes that a line has at most\(rest)"
        }
        return isWhole ? "this line is not as the gateway writes lines" : "the last line has no end"
    }

    private mutating func take(_ line: LogLine, _ file: String, _ number: Int) {
        lines += 1
        let sequence = line.sequence
        if let secret = keys.secret, !line.isAuthentic(secret) {
            report(file, number, sequence, "this line was changed, or somebody else wrote it")
        }
        if let last, sequence != last + 1 {
            report(
                file,
                number,
                sequence,
                "the lines from \(last + 1) to \(sequence - 1) are missing, or lines were moved"
            )
        } else if last == nil {
            takeFirst(line, file, number)
        } else if let previous, line.previous != previous {
            report(file, number, sequence, "the line before this one was changed")
        }
        first = first ?? sequence
        last = sequence
        previous = line.digest
        if let head = awaited.removeValue(forKey: sequence), head.digest != line.digest {
            report(file, number, sequence, "a head signed at \(head.time) names another line: the log was written anew")
        }
        switch line.json["kind"]?.string {
        case "intent": intents.insert(sequence)
        case "outcome": if let intent = line.json["intent"]?.int { intents.remove(intent) }
        default: break
        }
    }

    /// The first line that there is. What is missing before it was removed by age only if a signed head says so.
    private mutating func takeFirst(_ line: LogLine, _ file: String, _ number: Int) {
        if line.sequence == 1 {
            if line.previous != nil { report(file, number, 1, "the first line names one before it") }
            return
        }
        guard let head = awaited[line.sequence - 1] else {
            report(file, number, line.sequence, "no signed head says what was before this line")
            return
        }
        if line.previous != head.digest { report(file, number, line.sequence, "the line before this one was another") }
        guard isAll, line.sequence > keptFrom else { return }
        let removed = keptFrom > 1 ? "only those before \(keptFrom)" : "none"
        report(
            file,
            number,
            line.sequence,
            "the lines before this one were cut away: by signed heads, \(removed) were removed by age"
        )
    }

    private mutating func end() {
        guard let newestHead, newestHead.sequence > last ?? 0, problems.count < Self.mostProblems else { return }
        // With no lines at all, everything was removed by age: or by somebody.
        let ends = last.map { "the log ends at \($0)" } ?? "the log is empty"
        report(
            "",
            0,
            newestHead.sequence,
            "\(ends), and a head signed at \(newestHead.time) names \(newestHead.sequence): it was cut"
        )
    }

    private mutating func report(_ file: String, _ line: Int, _ sequence: Int64?, _ message: String) {
        guard problems.count < Self.mostProblems else { return }
        let name = file.split(separator: "/").last.map(String.init) ?? ""
        problems.append(Problem(file: name, line: line, sequence: sequence, message: message))
    }

    package var json: JSONValue {
        [
            "v": 1, "verdict": .string(isWhole ? "whole" : "broken"), "lines": .integer(Int64(lines)),
            "heads": .integer(Int64(heads)), "open": .integer(Int64(open)),
            "first": first.map(JSONValue.integer) ?? .null, "last": last.map(JSONValue.integer) ?? .null,
            "authenticated": .bool(keys.secret != nil),
            "problems": .array(
                problems.map { problem in
                    [
                        "file": .string(problem.file), "line": .integer(Int64(problem.line)),
                        "seq": problem.sequence.map(JSONValue.integer) ?? .null, "message": .string(problem.message),
                    ]
                }
            ),
        ]
    }
}
