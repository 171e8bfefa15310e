import EnsignLedger
import EnsignModel
import EnsignTargets

/// Where the rotating slice is.
///
/// Without it, or where it was made for another entry than the newest, a round starts anew and reads everything. What a
/// file's times say holds only against what was recorded when it was read.
struct ObservationPlace: Hashable {
    var entry: ObjectID
    var cursor: ObservationCursor

    /// The cursor to go on from at an entry.
    static func cursor(in file: StateFile<ObservationPlace>, at entry: ObjectID) throws -> ObservationCursor {
        guard let place = try file.read(), place.entry == entry else { return ObservationCursor() }
        return place.cursor
    }
}

extension ObservationPlace: StateValue {
    static let kind = StateKind("cache/<env>/observation", .scan, limit: 4 << 20)

    init?(_ contents: StateContents) {
        guard let entry = contents["entry"]?.string.flatMap({ ObjectID($0) }), let cursor = contents["cursor"] else {
            return nil
        }
        self.init(entry: entry, cursor: ObservationCursor(json: cursor))
    }

    var contents: StateContents { StateContents(["entry": .string(entry.description), "cursor": cursor.json]) }
}
