import EnsignModel

/// How many findings of one file are kept: more would help nobody, and a file full of mistakes could produce more
/// findings than it has bytes.
struct FindingShare {
    private var errors = 0
    private var warnings = 0

    /// The most errors, and the most warnings, of one file.
    static let limit = 100

    /// What to do with one more finding.
    enum Part {
        case all, thatThereAreMore, nothing
    }

    /// Whether nothing more is kept, not even that there is more.
    func isSpent(_ severity: Finding.Severity) -> Bool { count(severity) > Self.limit }

    mutating func take(_ severity: Finding.Severity) -> Part {
        guard !isSpent(severity) else { return .nothing }
        switch severity {
        case .error: errors += 1
        case .warning: warnings += 1
        }
        return isSpent(severity) ? .thatThereAreMore : .all
    }

    private func count(_ severity: Finding.Severity) -> Int {
        switch severity {
        case .error: errors
        case .warning: warnings
        }
    }

    /// The finding that represents all omitted ones: equally severe, so that each of them still counts.
    static func more(_ severity: Finding.Severity, _ path: String, _ position: Position) -> Finding {
        Finding(
            severity,
            code: "too-many-problems",
            "more than \(limit) \(severity)s in this file: the rest is left out",
            path: path,
            at: position
        )
    }
}
