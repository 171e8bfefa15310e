/// A version as SemVer 2.0.0 writes it; build metadata is kept but does not affect the order.
///
/// Source: https://semver.org/spec/v2.0.0.html, sections 2, 9, 10 and 11.
package struct SemanticVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The text as it was written: SemVer has one spelling for each version.
    package let description: String
    private let core: [UInt64]
    private let prerelease: [Substring]

    /// Parses `MAJOR.MINOR.PATCH[-prerelease][+build]`; nil for anything else, such as `1.10`, `v1.2.3` or `01.2.3`.
    package init?(_ text: some StringProtocol) {
        let text = String(text)
        guard text.utf8.count <= 128 else { return nil }
        let withoutBuild = text.split(separator: "+", maxSplits: 1, omittingEmptySubsequences: false)
        if withoutBuild.count == 2, !Self.identifiers(withoutBuild[1], numericMayPad: true) { return nil }
        let parts = withoutBuild[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let numbers = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        guard numbers.count == 3 else { return nil }
        var core: [UInt64] = []
        for number in numbers {
            guard Self.isNumeric(number), number.utf8.count == 1 || number.utf8.first != 0x30,
                let value = UInt64(number)
            else { return nil }
            core.append(value)
        }
        if parts.count == 2 {
            guard Self.identifiers(parts[1], numericMayPad: false) else { return nil }
            prerelease = parts[1].split(separator: ".", omittingEmptySubsequences: false)
        } else {
            prerelease = []
        }
        self.core = core
        description = text
    }

    /// The next minor version: `1.4.2` goes on as `1.5.0`. At the end of the numbers' range it stays.
    package var nextMinor: SemanticVersion {
        let (minor, overflows) = core[1].addingReportingOverflow(1)
        return SemanticVersion("\(core[0]).\(overflows ? core[1] : minor).0") ?? self
    }

    /// Where a thing starts that names no version of its own.
    package static let first = SemanticVersion(core: [0, 1, 0])

    private init(core: [UInt64]) {
        self.core = core
        prerelease = []
        description = core.map { "\($0)" }.joined(separator: ".")
    }

    private static func isNumeric(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    private static func identifiers(_ text: Substring, numericMayPad: Bool) -> Bool {
        for identifier in text.split(separator: ".", omittingEmptySubsequences: false) {
            guard !identifier.isEmpty else { return false }
            for byte in identifier.utf8 {
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D: continue
                default: return false
                }
            }
            if !numericMayPad, isNumeric(identifier), identifier.utf8.count > 1, identifier.utf8.first == 0x30 {
                return false
            }
        }
        return true
    }

    package static func < (left: SemanticVersion, right: SemanticVersion) -> Bool {
        if left.core != right.core { return left.core.lexicographicallyPrecedes(right.core) }
        switch (left.prerelease.isEmpty, right.prerelease.isEmpty) {
        case (true, true): return left.description < right.description
        case (true, false): return false
        case (false, true): return true
        case (false, false): break
        }
        for (one, other) in zip(left.prerelease, right.prerelease) where one != other {
            switch (isNumeric(one), isNumeric(other)) {
            case (true, true):
                if one.utf8.count != other.utf8.count { return one.utf8.count < other.utf8.count }
                return one < other
            case (true, false): return true
            case (false, true): return false
            case (false, false): return one < other
            }
        }
        if left.prerelease.count != right.prerelease.count { return left.prerelease.count < right.prerelease.count }
        return left.description < right.description
    }
}

/// Which copy of an agent a deployment names: a frozen release, or the one that people edit.
package enum AgentVersion: Sendable, Hashable, CustomStringConvertible {
    case next
    case release(SemanticVersion)

    /// Parses `next` or a semantic version.
    package init?(_ text: some StringProtocol) {
        // Length first: a longer text is not a version, and would take long to compare.
        guard text.utf8.count <= 128 else { return nil }
        if text == "next" {
            self = .next
        } else if let version = SemanticVersion(text) {
            self = .release(version)
        } else {
            return nil
        }
    }

    package var description: String {
        switch self {
        case .next: "next"
        case .release(let version): version.description
        }
    }
}
