import EnsignGit
import EnsignLedger
import EnsignManifest
import EnsignModel

/// What is wrong with `ensign.environments`: whoever has misspelt a name there has an environment that nobody looks after.
extension Site {
    /// - Parameter declared: What the desired commit declares; nil where there is none.
    /// - Returns: Sentences without a full stop; empty when nothing is wrong, or nothing is set.
    package func environmentSlips(declared: [String]?) throws -> [String] {
        guard let words = settings.environmentWords else { return [] }
        let key = "git config ensign.environments"
        guard !words.isEmpty else { return ["\(key) names no environment: nothing is reconciled here"] }
        let known = try declared.map { Set($0).union(try Ledger.environments(in: repository)) }
        return words.compactMap { word in
            guard Name.isValid(word) else {
                return "\(key): '\(word)' is not the name of an environment; separate names with spaces or commas"
            }
            guard let known, !known.contains(word) else { return nil }
            let hint = Suggestion.hint(for: word, among: inOrder(known), plural: "environments")
            return "\(key) names '\(word)', which nothing declares\(hint.map { ": \($0)" } ?? "")"
        }
    }

    /// The same by the desired commit.
    package func environmentSlips() throws -> [String] {
        guard settings.environmentWords != nil else { return [] }
        return try environmentSlips(
            declared: desiredCommit().map { try environments(in: repository.commit($0).tree) }
        )
    }
}
