import EnsignCrypto
import EnsignJSON
import EnsignModel
import EnsignPolicy

/// A ledger's `entry.json`, and lines of changes.jsonl: what is taken is written as it was.
func entries(_ bytes: [UInt8]) {
    guard let value = try? JSONParser.parse(bytes) else { return }
    if let entry = Entry(json: value) {
        mustReturn(entry, entry.json) { Entry(json: $0) }
        let own = entry.bytes
        must((try? JSONParser.parse(own)).flatMap { Entry(json: $0) } == entry, "its bytes are another entry")
        _ = entry.sequence + 1
        _ = entry.counts.values.reduce(0, +)
        for effect in AgentEffect.of(entry.changes, environment: entry.environment) ?? [] {
            _ = (entry.counts["agents"] ?? 0) + effect.changes.live
            _ = effect.digests
        }
        var cut = entry
        cut.bound()
    }
    if let change = Change(json: value) { mustReturn(change, change.json) { Change(json: $0) } }
}

/// State files of a ledger.
func states(_ bytes: [UInt8]) {
    guard let value = try? JSONParser.parse(bytes) else { return }
    if let state = EnsignModel.AgentState(json: value) {
        mustReturn(state, state.json) { EnsignModel.AgentState(json: $0) }
        if let agent = AgentID("support/triage"), let route = state.route(agent, "prod") {
            mustReturn(route, route.json) { Route(json: $0) }
        }
    }
    if let halts = FleetHalts(json: value) { mustReturn(halts, halts.json) { FleetHalts(json: $0) } }
    if let rollout = RolloutState(json: value) { mustReturn(rollout, rollout.json) { RolloutState(json: $0) } }
    if let report = JudgeReport(json: value) { mustReturn(report, report.json) { JudgeReport(json: $0) } }
}

/// Files of a live directory: routes, bundles, the policy, and their proofs.
func live(_ bytes: [UInt8]) {
    for path in ["agents/support/triage.json", LivePath.header, LivePath.policy] {
        guard let file = LiveProof.File(path: path) else { continue }
        if case .success(let proven) = LiveProof.verify(bytes, as: file, of: "prod", keys: keys) {
            must(proven.entry >= 0, "a negative entry")
        }
    }
    if let (members, _) = try? LiveProof.withoutProof(bytes) {
        must(JSONValue.object(members).canonicalBytes().count <= bytes.count, "it grew without its proof")
    }
    guard let value = try? JSONParser.parse(bytes) else { return }
    if let route = Route(json: value) {
        mustReturn(route, route.json) { Route(json: $0) }
        for bucket in Int64(0)..<100 { _ = route.target(bucket: bucket) }
        _ = route.bucketText(key: "ticket")
    }
    if let policy = GatewayPolicy(json: value) { mustReturn(policy, policy.json) { GatewayPolicy(json: $0) } }
    // What is missing is written as empty: a reader need not tell them apart.
    if let bundle = Bundle(json: value) { mustSettle(bundle, \.json) { Bundle(json: $0) } }
    if let seen = SeenEntries(json: value) { mustSettle(seen, \.json) { SeenEntries(json: $0) } }
}

/// The keys that the seeds are signed with are not known here: a line that reads, for the checks behind it.
private let keys: LiveKeys = {
    let line = "prod@ensign.invalid ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH9FmB2eQEXJ9u6l+r+z0GduL2r+KF2FRuiv4w3jTj58\n"
    guard case .success(let keys) = LiveKeys.read(Array(line.utf8)) else { fatalError("the line does not read") }
    return keys
}()
