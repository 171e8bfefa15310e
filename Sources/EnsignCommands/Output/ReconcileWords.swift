import EnsignModel
import EnsignPlanner
import EnsignTargets

extension DriftedFile {
    /// What was done about it, for people.
    var repaired: String { "repaired \(path.onOneLine) (\(Evidence.RepairedFile.words(found.rawValue)))" }
}

extension GuardChange {
    /// What holds from now on, for people.
    var line: String { "\(direction.rawValue): \(sentence.onOneLine)" }
}
