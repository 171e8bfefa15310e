import EnsignCommandLine
import EnsignModel
import EnsignQueries

extension LiveAgents {
    var table: TextTable {
        // Who is only observed is the exception, and seldom there.
        let observes = rows.contains { $0.mode == .observe }
        return TextTable(
            header: ["AGENT", "WANTED", "STABLE", "CANDIDATE", "PHASE"] + (observes ? ["MODE"] : []) + [
                "SINCE", "WHY",
            ],
            rows: rows.map { $0.cells(withMode: observes) }
        )
    }
}

extension LiveAgents.Row {
    fileprivate func cells(withMode: Bool) -> [String] {
        [
            agent.description, wanted?.description ?? "-", stable?.version.description ?? "-",
            candidate.map { "\($0.version)" + (weight.map { " (\($0) %)" } ?? "") } ?? "-", phase,
        ] + (withMode ? [mode?.rawValue ?? "-"] : []) + [since?.description ?? "-", reason?.onOneLine ?? "-"]
    }
}
