import EnsignJSON

/// "Did you mean": the nearest of some words.
package enum Suggestion {
    /// The candidate nearest to `word`, if it is near enough to be a typo.
    package static func nearest(to word: String, in candidates: some Sequence<String>) -> String? {
        closestMatch(to: word, among: candidates.prefix(2_000))
    }

    /// A hint that lists versions, oldest first: spelling does not tell which one is meant.
    package static func versions(_ known: [String]) -> String {
        guard !known.isEmpty else { return "it has no version yet" }
        return "its versions: \(known.count > 8 ? "..., " : "")\(known.suffix(8).joined(separator: ", "))"
    }

    /// A hint that names the nearest candidate, or else lists the candidates.
    package static func hint(for word: String, among candidates: [String], plural: String) -> String? {
        if let nearest = nearest(to: word, in: candidates) { return "did you mean '\(nearest)'?" }
        guard !candidates.isEmpty else { return "there are no \(plural)" }
        let shown = candidates.prefix(8).joined(separator: ", ")
        return "\(plural): \(shown)\(candidates.count > 8 ? ", ..." : "")"
    }
}
