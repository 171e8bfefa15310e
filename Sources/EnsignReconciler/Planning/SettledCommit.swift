import EnsignLedger
import EnsignModel

/// The desired commit that is live as it is, with the entry that was the newest when that was found.
///
/// The entry alone does not say it: a commit that touches other environments writes none here, and one that is refused may
/// stop agents.
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
