import EnsignLedger
import EnsignModel
import EnsignReconciler
import EnsignSystem

extension Verb {
    static let status = Verb(
        name: "status",
        group: .ask,
        summary: "Show where each environment stands",
        discussion: "Shows the newest entry, how many agents are live, and when this clone last reconciled.",
        options: [.anyEnvironment],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign status", meaning: "all environments"),
            Example(command: "ensign status --env prod --output json", meaning: "one, for a program"),
        ]
    ) { invocation in
        let site = try invocation.site()
        let asked = try invocation["env"] == nil ? [] : [invocation.environment()]
        let now = Timestamp(seconds: Machine.now)
        let rows = try site.environments(asked).map { try EnvironmentStatus($0, site) }
        if invocation.format == .json {
            invocation.json(["v": 1, "environments": .array(rows.map { $0.json(now) })])
            return .done
        }
        var table = TextTable(header: ["ENVIRONMENT", "AGENTS", "ENTRY", "SOURCE", "DESIRED", "RECONCILED", "RESULT"])
        for row in rows { table.rows.append(row.cells(now)) }
        invocation.console.out(table.render(invocation.console))
        for row in rows { for note in row.notes { invocation.console.note("\(row.name): \(note)") } }
        return .done
    }
}

/// One environment's line.
private struct EnvironmentStatus {
    let name: String
    let tip: RecordedEntry?
    let status: Status?
    let desired: ObjectID?
    let disagreements: [Disagreement]
    let outbox: Outbox?

    init(_ name: String, _ site: Site) throws {
        self.name = name
        tip = try site.ledger(name).tip()
        status = try Status.read(site.files.status(name))
        desired = try site.desiredCommit()
        outbox = try Outbox.read(site.files.outbox(name))
        let today = Timestamp(seconds: Machine.now).date
        disagreements = try RollbackBranches(site: site, environment: name, today: today).survey(tip)
    }

    func cells(_ now: Timestamp) -> [String] {
        [
            name, tip.map { String($0.agents) } ?? "-", tip.map { String($0.entry.sequence) } ?? "-",
            tip?.acceptedSource?.short ?? "-", desired?.short ?? "-",
            status.map { Self.age(now.seconds - $0.time.seconds) } ?? "never", status?.result ?? "-",
        ]
    }

    var notes: [String] {
        (status.map { $0.message.isEmpty ? [] : [$0.message] } ?? []) + disagreements.map(\.sentence)
            + [outbox?.note].compactMap { $0 }
    }

    func json(_ now: Timestamp) -> JSONValue {
        [
            "environment": .string(name), "agents": tip.map { .integer($0.agents) } ?? .null,
            "entry": tip.map {
                [
                    "seq": .integer($0.entry.sequence), "commit": .string($0.commit.description),
                    "kind": .string($0.entry.kind.rawValue), "time": .string($0.entry.time.description),
                    "result": .string($0.entry.result.rawValue),
                ]
            } ?? .null,
            "source": tip?.acceptedSource.map { .string($0.description) } ?? .null,
            "desired": desired.map { .string($0.description) } ?? .null,
            "reconciled": status?.json ?? .null,
            "disagreements": .array(disagreements.map(\.json)),
            "ageSeconds": status.map { .integer(max(0, now.seconds - $0.time.seconds)) } ?? .null,
        ]
    }

    private static func age(_ seconds: Int64) -> String {
        switch seconds {
        case ..<0: "in the future"
        case 0..<120: "\(seconds)s ago"
        case 120..<7_200: "\(seconds / 60)m ago"
        case 7_200..<172_800: "\(seconds / 3_600)h ago"
        default: "\(seconds / 86_400)d ago"
        }
    }
}
