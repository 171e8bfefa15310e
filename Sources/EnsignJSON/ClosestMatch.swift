/// Returns the candidate that `name` was probably meant to be, or `nil`.
///
/// It is the nearest by Damerau-Levenshtein distance (optimal string alignment), at most 2 away and, for names of fewer
/// than five characters, at most 1. Of equally near candidates the first wins.
package func closestMatch(to name: String, among candidates: some Sequence<String>) -> String? {
    var effort = Int.max
    return closestMatch(to: name, among: candidates, effort: &effort)
}

/// The same for as many comparisons as are left.
func closestMatch(to name: String, among candidates: some Sequence<String>, effort: inout Int) -> String? {
    let name = Array(name.unicodeScalars.prefix(65))
    guard name.count < 65 else { return nil }
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
        guard effort > 0 else { break }
        effort -= 1
        let scalars = Array(candidate.unicodeScalars.prefix(65))
        let most = min(min(name.count, scalars.count) < 5 ? 1 : 2, (best?.distance ?? 3) - 1)
        guard scalars.count < 65, abs(scalars.count - name.count) <= most else { continue }
        let distance = alignmentDistance(name, scalars)
        if distance <= most { best = (candidate, distance) }
    }
    return best?.candidate
}

private func alignmentDistance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
    var beforeLast: [Int] = []
    var last = Array(0...right.count)
    for i in left.indices {
        var row = [i + 1]
        for j in right.indices {
            var distance = min(last[j + 1] + 1, row[j] + 1, last[j] + (left[i] == right[j] ? 0 : 1))
            if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                distance = min(distance, beforeLast[j - 1] + 1)
            }
            row.append(distance)
        }
        beforeLast = last
        last = row
    }
    return last[right.count]
}
