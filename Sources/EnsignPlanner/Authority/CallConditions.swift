import EnsignModel

/// Compares what is asked of calls of an operation, beside their arguments. What might be more counts as more.
enum CallConditions {
    static func differences(
        _ name: String,
        _ was: BundleOperation,
        _ now: BundleOperation,
        usual: UsualApprovers
    ) -> [AuthorityChange] {
        [approvers(was, now, usual), rate(was, now), after(was, now), record(was, now), pin(was, now)]
            .compactMap { $0 }.map { AuthorityChange($0.gained ? .gained : .lost, .condition(name, $0.condition)) }
    }

    private typealias Found = (gained: Bool, condition: AuthorityChange.CallCondition)

    /// Nothing where one of the two asks nobody: then the approval itself says what changes.
    private static func approvers(
        _ was: BundleOperation,
        _ now: BundleOperation,
        _ usual: UsualApprovers
    ) -> Found? {
        guard was.approvers != now.approvers || usual.areOthers, was.approval != .none, now.approval != .none else {
            return nil
        }
        let (old, new) = (was.approvers.map { Set($0) } ?? usual.was, now.approvers.map { Set($0) } ?? usual.now)
        guard old != new else { return nil }
        // "Its team" is another one on each side: then they are named.
        func named(_ list: [Approver]?, _ all: Set<Approver>) -> [String]? {
            (usual.areOthers ? all.sorted() : list)?.map(\.description)
        }
        return (
            !new.isSubset(of: old),
            .approvers(.init(was: named(was.approvers, old), now: named(now.approvers, new)))
        )
    }

    private static func rate(_ was: BundleOperation, _ now: BundleOperation) -> Found? {
        guard was.rate != now.rate else { return nil }
        let isStricter = now.rate.map { rate in was.rate.map { rate.keeps($0) } ?? true } ?? false
        return (!isStricter, .rate(.init(was: was.rate, now: now.rate)))
    }

    private static func after(_ was: BundleOperation, _ now: BundleOperation) -> Found? {
        guard Set(was.after) != Set(now.after) else { return nil }
        let isStricter = was.after.allSatisfy { old in now.after.contains { $0.implies(old) } }
        let isLooser = now.after.allSatisfy { new in was.after.contains { $0.implies(new) } }
        // The same, written differently.
        guard !(isStricter && isLooser) else { return nil }
        return (!isStricter, .after(.init(was: was.after, now: now.after)))
    }

    /// What is no longer recorded is no longer seen.
    private static func record(_ was: BundleOperation, _ now: BundleOperation) -> Found? {
        guard Set(was.record) != Set(now.record) else { return nil }
        return (!Set(was.record).isSubset(of: now.record), .record(.init(was: was.record, now: now.record)))
    }

    /// Another definition may do anything.
    private static func pin(_ was: BundleOperation, _ now: BundleOperation) -> Found? {
        guard was.pin != now.pin else { return nil }
        return (was.pin != nil, .pin(.init(was: was.pin, now: now.pin)))
    }

    /// What a new grant asks: `30 times a minute`, `after crm.verify-customer within 10m`.
    static func phrases(_ operation: BundleOperation) -> [String] {
        var phrases: [String] = []
        if operation.approval != .none, let approvers = operation.approvers {
            phrases.append("of \(approvers.map(\.description).joined(separator: " or "))")
        }
        if let rate = operation.rate { phrases.append("\(rate.words) at most") }
        phrases += operation.after.map(\.description)
        if !operation.record.isEmpty {
            phrases.append("recorded with \(operation.record.map { $0.description.onOneLine }.joined(separator: ", "))")
        }
        if let pin = operation.pin { phrases.append("pinned to \(pin.short)") }
        return phrases
    }
}

/// Who may agree to calls where the grant names nobody, before and after.
struct UsualApprovers {
    var was: Set<Approver>
    var now: Set<Approver>
    /// Whether the agent has gone to another team.
    var areOthers: Bool

    /// The agent's team and the tool's owner, as far as a bundle tells.
    ///
    /// - Parameter other: The same tool in a bundle to compare with: of two, only one may name the owner.
    static func of(_ team: String?, _ tool: BundleTool?, besides other: BundleTool?) -> Set<Approver> {
        Set([team, tool?.owner ?? other?.owner].compactMap { $0.map { .team($0) } })
    }
}
