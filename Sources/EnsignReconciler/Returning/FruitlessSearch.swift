import EnsignLedger
import EnsignModel

/// A search that found no file to make git agree. It is not repeated before something changes, for it may read a
/// thousand commits.
struct FruitlessSearch: Hashable {
    var desired: ObjectID
    var stable: Digest
    var wanted: Digest
}

extension FruitlessSearch: StateValue {
    static let kind = StateKind("cache/<env>/by-hand.<part>", .memo, limit: 1_024)

    init?(_ contents: StateContents) {
        guard let desired = contents["desired"]?.string.flatMap({ ObjectID($0) }),
            let stable = contents["stable"]?.string.flatMap({ Digest($0) }),
            let wanted = contents["wanted"]?.string.flatMap({ Digest($0) })
        else { return nil }
        self.init(desired: desired, stable: stable, wanted: wanted)
    }

    var contents: StateContents {
        StateContents([
            "desired": .string(desired.description), "stable": .string(stable.description),
            "wanted": .string(wanted.description),
        ])
    }
}
