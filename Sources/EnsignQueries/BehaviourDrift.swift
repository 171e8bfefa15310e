package import EnsignModel
package import EnsignReconciler

extension BehaviourRecord.Drift {
    /// For people, without a full stop.
    package var sentence: String {
        let version = change.to.map { " \($0.version)" } ?? ""
        return "drift: \(agent?.description ?? "")\(version), recorded \(time): \(reason)"
    }

    package var json: JSONValue {
        [
            "agent": agent.map { .string($0.description) } ?? .null, "metric": .string(metric),
            "stable": change.to?.json ?? .null, "reason": .string(reason), "time": .string(time.description),
            "seq": .integer(sequence),
        ]
    }
}
