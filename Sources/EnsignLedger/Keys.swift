import EnsignGit
import EnsignModel

extension Ledger {
    /// The keys that may sign, oldest first, each with the numbers of the entries that it may sign.
    package func keys() throws -> [(line: String, from: Int64, to: Int64?)] {
        guard let tip = try tip() else { return [] }
        var lists: [(sequence: Int64, keys: [String])] = []
        try walk(from: tip) { entry in
            if let keys = entry.entry.keys { lists.append((entry.entry.sequence, keys)) }
            return true
        }
        var result: [(line: String, from: Int64, to: Int64?)] = []
        var end: Int64?
        for list in lists {
            let start = list.sequence == 0 ? 0 : list.sequence.adding(saturating: 1)
            for key in list.keys { result.append((key, start, end)) }
            // The entry that hands over is itself signed by the outgoing key.
            end = list.sequence
        }
        return result.reversed()
    }
}
