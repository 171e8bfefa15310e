import EnsignManifest
import EnsignModel
import EnsignPlanner

extension Plan {
    /// Two versions of an agent, compared by themselves: in no environment.
    init(comparing agent: AgentID, _ old: CompiledBundle, _ new: CompiledBundle, source: PlanSource) throws {
        let difference = BundleDifference(before: try old.bundle, after: try new.bundle)
        let change = PlannedChange(
            agent: agent,
            change: Change(agent: agent, action: .update, from: old.side, to: new.side, kind: difference.kind),
            difference: PlannedDifference(difference),
            route: nil,
            state: nil,
            bundle: nil,
            declaredOnly: []
        )
        self.init(
            environment: "",
            source: source,
            entry: nil,
            changes: try old.bundle.contents == new.bundle.contents ? [] : [change],
            unchanged: 0,
            kept: [],
            liveBefore: 1,
            refusal: nil
        )
    }
}

extension Bundle {
    /// The bundle without its version.
    fileprivate var contents: JSONValue {
        var object = json.object ?? [:]
        object["version"] = nil
        return .object(object)
    }
}
