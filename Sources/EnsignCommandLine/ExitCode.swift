/// What a command's exit status says. docs/exit-codes.md is this table.
package enum ExitCode: Int32, Sendable {
    /// Done, or nothing to do.
    case done = 0
    /// The world failed: disk, lock, network, target, missing key.
    case failed = 1
    /// With `--detailed-exitcode`: there are differences.
    case differences = 2
    /// The manifests are invalid.
    case invalid = 3
    /// A rule said no: push, prune guard, frozen version, `check`.
    case refused = 4
    /// The ledger or the target is not what was signed.
    case integrity = 5
    /// Wrong use of the command line; `EX_USAGE` of sysexits(3).
    case usage = 64
}

extension ExitCode {
    /// From the best to the worst.
    private static let ranks: [ExitCode] = [.done, .differences, .refused, .invalid, .usage, .failed, .integrity]

    /// Of several environments, sources or updates the worst decides.
    package func worst(_ other: ExitCode) -> ExitCode {
        for code in Self.ranks.reversed() where code == self || code == other { return code }
        return self
    }

    /// ``done`` of none.
    package static func worst(of codes: some Sequence<ExitCode>) -> ExitCode { codes.reduce(.done) { $0.worst($1) } }
}
