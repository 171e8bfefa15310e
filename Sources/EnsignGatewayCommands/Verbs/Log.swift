import EnsignCommandLine
import EnsignGateway
import EnsignModel

extension Verb {
    static let log = Verb(
        name: "log",
        group: .record,
        summary: "Show what was decided",
        discussion: """
            The newest decisions last. The log is the gateway's own: its account reads it, or root. Arguments and keys \
            are in it as HMACs, and values that a grant records in clear.
            """,
        arguments: [Argument(name: "AGENT", summary: "Only of this agent, <team>/<agent>", isRequired: false)],
        options: [
            .operatorFile,
            Option(name: "limit", summary: "Show so many at most; 50 if left out, 0 for all", value: "N"),
            Option(name: "run", summary: "Only of this run", value: "NAME"),
            Option(name: "seq", summary: "Only what was decided under this number, and how it ended", value: "N"),
            Option(name: "refused", summary: "Only what was refused, or would have been"),
        ] + Option.places,
        formats: [.text, .json],
        examples: [
            Example(command: "ensign-gateway log --config gateway.yaml", meaning: "the last fifty decisions"),
            Example(
                command: "ensign-gateway log --config gateway.yaml support/refund-triage --refused",
                meaning: "what one agent was refused, and why"
            ),
            Example(
                command: "ensign-gateway log --config gateway.yaml --seq 812 -o json",
                meaning: "one decision with how it ended, whole"
            ),
        ],
        output: .answer
    ) { invocation in
        let state = try OperatorFile(invocation).file.state.value
        let folder = LogFolder("\(state)/log")
        guard let limit = Int(invocation["limit"] ?? "50"), limit >= 0 else {
            throw UsageError(message: "'--limit' takes a number from 0 on", verb: "log")
        }
        var choice = try Choice(invocation)
        var lines: [JSONValue] = []
        for name in try folder.names() {
            try LogReader.lines(of: "\(folder.path)/\(name)") { bytes, _ in
                guard let line = LogLine(bytes)?.json, choice.takes(line) else { return true }
                lines.append(line)
                if limit > 0, lines.count / 2 > limit { lines.removeFirst(lines.count - limit) }
                return true
            }
        }
        if limit > 0 { lines = Array(lines.suffix(limit)) }
        if invocation.format == .json {
            invocation.json(["v": 1, "entries": .array(lines)])
        } else {
            invocation.console.out(table(lines).render(invocation.console))
        }
        return .done
    }

    private static func table(_ lines: [JSONValue]) -> TextTable {
        var table = TextTable(header: ["SEQ", "TIME", "AGENT", "OPERATION", "WHAT", "DETAIL"])
        for line in lines {
            func text(_ name: String) -> String { line[name]?.string?.onOneLine(utf8: 300) ?? "" }
            table.rows.append([
                line["seq"]?.text ?? "", text("time"), text("agent"), text("operation"), what(line),
                detail(line),
            ])
        }
        return table
    }

    private static func what(_ line: JSONValue) -> String {
        let kind = line["kind"]?.string ?? ""
        switch kind {
        case "intent": return line["verdict"]?.string ?? kind
        case "outcome": return line["outcome"]?.string ?? "joined"
        default: return kind.onOneLine(utf8: 20)
        }
    }

    private static func detail(_ line: JSONValue) -> String {
        var parts: [String] = []
        if let reason = line["reason"]?.string { parts.append(reason) }
        if let place = line["at"]?.string { parts.append(place) }
        if let intent = line["intent"]?.text { parts.append("of \(intent)") }
        if let milliseconds = line["ms"]?.text { parts.append("\(milliseconds) ms") }
        if let approval = line["approval"], let id = approval["id"]?.string {
            let by = (approval["by"]?.array ?? []).compactMap(\.string).joined(separator: ", ")
            parts.append(by.isEmpty ? id : "\(id) by \(by)")
        }
        if let record = line["record"]?.object {
            parts += record.map { "\($0.key)=\($0.value.text)" }.sorted()
        }
        if let note = line["note"]?.string { parts.append(note) }
        return parts.joined(separator: " ").onOneLine(utf8: 500)
    }
}

/// Which lines are shown.
private struct Choice {
    private let agent: String?
    private let run: String?
    private let number: Int64?
    private let isOfRefused: Bool
    /// The intents of the run: how they ended is told in lines that do not name it.
    private var intents: Set<Int64> = []

    init(_ invocation: Invocation) throws {
        agent = invocation.argument(0)
        if let agent, AgentID(agent) == nil {
            throw UsageError(
                message: "'\(agent)' is not the name of an agent: <team>/<agent>",
                hint: ["verify", "replay"].contains(agent) ? "did you mean 'ensign-gateway \(agent)'?" : nil,
                verb: "log"
            )
        }
        run = invocation["run"]
        number = invocation["seq"].flatMap { Int64($0) }
        if let text = invocation["seq"], number == nil {
            throw UsageError(message: "'--seq' takes a number, and '\(text)' is none", verb: "log")
        }
        isOfRefused = invocation.has("refused")
    }

    mutating func takes(_ line: JSONValue) -> Bool {
        let (seq, intent) = (line["seq"]?.int, line["intent"]?.int)
        if let agent, line["agent"]?.string != agent { return false }
        if let number, seq != number, intent != number { return false }
        if let run {
            guard line["run"]?.string == run || intent.map(intents.contains) == true else { return false }
            if let seq, line["kind"] == "intent" { intents.insert(seq) }
        }
        return !isOfRefused || line["reason"] != nil
    }
}
