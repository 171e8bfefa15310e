import EnsignCommandLine
import EnsignModel
import EnsignQueries

/// Renders what acts and is not declared. Names were written by anybody: each cell is one safe line.
struct ShadowRenderer {
    let report: ShadowReport
    let console: Console

    var text: String {
        var text = ""
        var agents = TextTable(
            header: ["AGENT", "SERVICE", "RUNS", "FIRST SEEN", "LAST SEEN", "MODELS", "TOOLS", "IN THE FLEET AS"]
        )
        agents.rows = report.agents.map { agent in
            [
                agent.name?.onOneLine(utf8: 64) ?? "(no name)", agent.service?.onOneLine(utf8: 64) ?? "-",
                "\(agent.runs)", agent.first.description, agent.last.description, list(agent.models),
                list(agent.tools), agent.suggestion,
            ]
        }
        text += section("Agents that nobody has declared, and nobody owns", agents)
        text += section("Tools that are not declared", names(report.tools, "TOOL"))
        text += section("Models that no agent names and that have no price", names(report.models, "MODEL"))
        let traces = counted(report.declaredTraces, "trace", "traces")
        if !text.isEmpty || report.declaredTraces > 0 {
            text += "\n\(traces) of declared agents, \(report.otherTraces) of others\n"
        }
        for note in report.notes { text += "\(note.onOneLine)\n" }
        return text
    }

    private func list(_ names: [String]) -> String {
        guard !names.isEmpty else { return "-" }
        let shown = names.prefix(4).map { $0.onOneLine(utf8: 64) }.joined(separator: ", ")
        return names.count > 4 ? "\(shown) and \(names.count - 4) more" : shown
    }

    private func names(_ names: [ShadowReport.Name], _ title: String) -> TextTable {
        var table = TextTable(header: [title, "SPANS", "FIRST SEEN", "LAST SEEN"])
        table.rows = names.map {
            [$0.name.onOneLine(utf8: 128), "\($0.spans)", $0.first.description, $0.last.description]
        }
        return table
    }

    private func section(_ title: String, _ table: TextTable) -> String {
        guard !table.rows.isEmpty else { return "" }
        return "\(console.paint(title, .bold))\n\(table.render(console))\n"
    }
}
