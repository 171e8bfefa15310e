import EnsignLedger
import EnsignModel

/// The newest desired commit that was found to need nothing, with the entry of that comparison.
///
/// A commit that touches other environments writes no entry here, and without this every later run would compare it again.
struct SettledCommit: Hashable {
    var desired: ObjectID
    var entry: ObjectID
    var version: String
}

extension SettledCommit: StateValue {
    static let kind = StateKind("cache/<env>/settled", .memo, limit: 1_024)

    init?(_ contents: StateContents) {
        guard let desired = contents["desired"]?.string.flatMap({ ObjectID($0) }),
            let entry = contents["entry"]?.string.flatMap({ ObjectID($0) }),
            let version = contents["version"]?.string
        else { return nil }
        self.init(desired: desired, entry: entry, version: version)
    }

    var contents: StateContents {
        StateContents([
            "desired": .string(desired.description), "entry": .string(entry.description), "version": .string(version),
        ])
    }
}
