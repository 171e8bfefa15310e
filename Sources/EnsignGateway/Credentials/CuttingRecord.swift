import EnsignModel

/// A decision log whose lines have no secrets: a client may write what a server has given away. What was made of names that were
/// reviewed is left as it is.
struct CuttingRecord: DecisionRecord {
    let record: any DecisionRecord
    let secrets: SecretShelf

    func append(_ decision: Decision) throws(RecordFailure) -> Int64 {
        let cutter = secrets.cutter
        guard !cutter.isEmpty else { return try record.append(decision) }
        var decision = decision
        decision.note = decision.note.map(cutter.cut)
        decision.pointer = decision.pointer.map(cutter.cut)
        decision.run = decision.run.map { RunName(cutter.cut($0.name), $0.source) }
        decision.bareRun = decision.bareRun.map(cutter.cut)
        decision.recorded = decision.recorded.map { (cutter.cut($0.pointer), cutter.cut($0.value)) }
        return try record.append(decision)
    }
}
