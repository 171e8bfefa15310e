import EnsignCommandLine
import EnsignModel
import EnsignQueries

extension LiveAgents {
    var table: TextTable {
        TextTable(
            header: ["AGENT", "WANTED", "STABLE", "CANDIDATE", "PHASE", "SINCE", "WHY"],
            rows: rows.map(\.cells)
        )
    }
}

extension LiveAgents.Row {
    fileprivate var cells: [String] {
        [
            agent.description, wanted?.description ?? "-", stable?.version.description ?? "-",
            candidate.map { "\($0.version)" + (weight.map { " (\($0) %)" } ?? "") } ?? "-", phase,
            since?.description ?? "-", reason?.onOneLine ?? "-",
        ]
    }
}
