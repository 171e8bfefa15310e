import EnsignModel

/// The operations of a tool in all its released versions.
struct EveryVersion {
    /// By version, oldest first.
    let versions: [[String: Operation]]
    /// The names that any version has.
    let names: Set<String>

    init(_ versions: [[String: Operation]]) {
        self.versions = versions
        names = Set(versions.flatMap(\.keys))
    }
}
