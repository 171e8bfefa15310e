extension AuthorityChange {
    /// A condition of a granted operation that changed, before and after.
    package enum CallCondition: Sendable, Hashable {
        /// Who may agree, in words; nil for the agent's team and the tool's owner team.
        case approvers(Difference<[String]?>)
        case rate(Difference<CallRate?>)
        case after(Difference<[Precondition]>)
        case record(Difference<[JSONPointer]>)
        case pin(Difference<Digest?>)

        /// The field that sets it.
        var field: String {
            switch self {
            case .approvers: "approvers"
            case .rate: "rate"
            case .after: "after"
            case .record: "record"
            case .pin: "pin"
            }
        }

        /// - Parameter name: `<tool>.<operation>`
        func sentence(_ name: String, _ direction: Direction) -> String {
            switch self {
            case .approvers(let people):
                "\(Self.words(people.now)) may agree to calls of \(name) (was \(Self.words(people.was)))"
            case .rate(let rate):
                "may call \(name) \(Self.words(rate.now)) (was \(Self.words(rate.was)))"
            case .after(let conditions):
                "may call \(name) \(Self.words(conditions.now)) (was: \(Self.words(conditions.was)))"
            case .record(let places):
                direction == .gained
                    ? "the record of calls no longer keeps all of \(Self.words(places.was)) of \(name)\(Self.now(places.now))"
                    : "the record of calls keeps \(Self.words(places.now)) of \(name) in clear"
            case .pin(let digest):
                digest.now.map {
                    "\(name) is pinned to the definition \($0.short)\(digest.was.map { " (was \($0.short))" } ?? "")"
                } ?? "\(name) may be whatever its server offers now (was pinned to \(digest.was?.short ?? "nothing"))"
            }
        }

        private static func words(_ approvers: [String]?) -> String {
            guard let approvers else { return "its team and the tool's owners" }
            return approvers.isEmpty ? "nobody" : approvers.joined(separator: ", ")
        }

        private static func words(_ rate: CallRate?) -> String { rate?.words ?? "at any rate" }

        private static func words(_ conditions: [Precondition]) -> String {
            conditions.isEmpty ? "without a call before" : conditions.map(\.description).joined(separator: ", and ")
        }

        private static func words(_ places: [JSONPointer]) -> String {
            places.map { $0.description.onOneLine }.joined(separator: ", ")
        }

        private static func now(_ places: [JSONPointer]) -> String {
            places.isEmpty ? "" : " (now \(words(places)))"
        }
    }
}
