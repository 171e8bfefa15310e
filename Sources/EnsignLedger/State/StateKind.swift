import EnsignSystem

/// Why Ensign keeps something between runs. There are four reasons, and each says what a loss costs.
package enum StateReason: Sendable, Hashable, CaseIterable {
    /// It follows from the ledger alone, and can be rebuilt by walking it: see ``LedgerProjection``.
    case projection
    /// The result of a pure function, which is expensive to compute again.
    case memo
    /// How far a scan has come: without it the scan starts again.
    case scan
    /// It is recorded nowhere else.
    case memory

    /// Whether it is rebuilt when it is lost.
    package var canBeMadeAgain: Bool { self != .memory }
}

/// The common properties of all files with one kind of state.
package struct StateKind: Sendable, Hashable {
    /// Below `<git dir>/ensign/`, with `<env>` for the environment and `<part>` for its subject there.
    package let pattern: String
    package let reason: StateReason
    /// The format's version. A file of another version counts as missing.
    package let version: Int64
    /// The most bytes that are read: a larger file cannot be Ensign's.
    package let limit: Int
    /// Whether writing waits for the disk.
    package let isDurable: Bool
    /// The path in an earlier release; read until the next write removes it.
    package let formerPattern: String?

    package init(
        _ pattern: String,
        _ reason: StateReason,
        version: Int64 = 1,
        limit: Int,
        isDurable: Bool = false,
        formerly formerPattern: String? = nil
    ) {
        precondition(!pattern.hasPrefix("cache/") || reason.canBeMadeAgain, "cache/ may be deleted at any time")
        self.pattern = pattern
        self.reason = reason
        self.version = version
        self.limit = limit
        self.isDurable = isDurable
        self.formerPattern = formerPattern
    }

    /// Puts names in the places of a pattern.
    ///
    /// A run makes dozens of paths, in a process of a few milliseconds. Replacing text by the library's search costs
    /// as much there as a whole reading of the ledger, for types that are made anew in each process.
    static func path(_ pattern: String, environment: String, part: String) -> String {
        var path = ""
        var rest = pattern.utf8[...]
        while let open = rest.firstIndex(of: UInt8(ascii: "<")), let close = rest.firstIndex(of: UInt8(ascii: ">")) {
            path += Substring(rest[..<open])
            path += Substring(rest[open...close]) == "<env>" ? environment : part
            rest = rest[rest.index(after: close)...]
        }
        return path + Substring(rest)
    }

    /// Whether an earlier release's file is there, or something that cannot be looked at.
    package func hasFormer(_ files: LedgerFiles, _ environment: String) -> Bool {
        guard let formerPattern else { return false }
        let path = Self.path(formerPattern, environment: environment, part: "")
        do { return try Files.status("\(files.root)/\(path)") != nil } catch { return true }
    }
}
