package import EnsignModel

/// A change of what guards agents: a rule of the kill switch, a canary, a limit, a price, a trusted key.
///
/// It changes no bundle and starts no rollout: it applies as soon as its commit is accepted.
package struct GuardChange: Sendable, Hashable {
    /// Its direction for the guarded agents. Anything that might be looser counts as looser.
    package enum Direction: String, Sendable, CaseIterable {
        case loosened, tightened
        /// Neither.
        case changed

        /// The class of the change for those who must approve it.
        package var kind: Change.Class {
            switch self {
            case .loosened: .widening
            case .tightened: .narrowing
            case .changed: .none
            }
        }
    }

    /// The field that changes, as in manifests: `killSwitch.deniedCalls`. For scripts.
    package var what: String
    package var direction: Direction
    /// Whom it guards, for people: `every agent of prod`, `support/*`.
    package var scope: String
    /// How many agents it guards now; nil if unknown.
    package var agents: Int64?
    /// What happens, without the scope: `the halt at 5 denied calls within 1m is gone`.
    package var text: String

    package init(what: String, direction: Direction, scope: String, agents: Int64?, text: String) {
        self.what = what
        self.direction = direction
        self.scope = scope
        self.agents = agents
        self.text = text
    }

    /// `support/* (12): the halt at 5 denied calls within 1m is gone`.
    package var sentence: String {
        let count = agents.map { $0 == 1 ? "" : " (\($0))" } ?? ""
        return "\(scope)\(count): \(text)"
    }

    package var json: JSONValue {
        [
            "what": .string(what), "direction": .string(direction.rawValue), "class": .string(direction.kind.rawValue),
            "scope": .string(scope), "agents": agents.map { .integer($0) } ?? .null, "text": .string(text),
        ]
    }
}

/// A difference of what guards an agent, not yet tied to agents.
struct GuardDifference: Sendable, Hashable {
    var what: String
    var direction: GuardChange.Direction
    var text: String

    init(_ what: String, _ direction: GuardChange.Direction, _ text: String) {
        self.what = what
        self.direction = direction
        self.text = text
    }

    /// Looser when `isLooser`, else tighter.
    init(_ what: String, isLooser: Bool, _ text: String) {
        self.init(what, isLooser ? .loosened : .tightened, text)
    }
}
