import EnsignHost
package import EnsignManifest
package import EnsignModel
import EnsignPolicy
import EnsignReconciler
import EnsignTelemetry

/// Agents, tools and models that act in telemetry and are not declared in the fleet.
package struct ShadowReport: Sendable {
    package struct Agent: Sendable, Hashable {
        /// As telemetry names it; nil if it names nobody.
        package var name: String?
        package var service: String?
        /// How it may be called in the fleet; its team is to be decided unless its name says it.
        package var suggestion: String
        package var runs: Int64
        package var spans: Int64
        package var first: Timestamp
        package var last: Timestamp
        /// By name, most used first; those that the fleet does not declare among them.
        package var tools: [String]
        package var models: [String]
        package var scopes: [String]
    }

    package struct Name: Sendable, Hashable {
        package var name: String
        package var spans: Int64
        package var first: Timestamp
        package var last: Timestamp
    }

    package var path: String
    package var agents: [Agent] = []
    package var tools: [Name] = []
    package var models: [Name] = []
    /// Traces in which an agent of the fleet is at work, and others.
    package var declaredTraces: Int64 = 0
    package var otherTraces: Int64 = 0
    package var notes: [String] = []

    package var isEmpty: Bool { agents.isEmpty && tools.isEmpty && models.isEmpty }

    /// Reads all that is there.
    ///
    /// - Throws: ``TelemetryReview/Failure`` for a path that cannot be read.
    package static func make(_ path: String, _ fleet: Fleet) throws -> ShadowReport {
        var opened = try TelemetryReview.open(path)
        let declared = try names(fleet)
        var survey = ShadowSurvey { declared.contains($0) }
        var rejections = Rejections()
        var changed = opened.first
        while true {
            let batch = try opened.reader.read(changed: changed, limit: 8 << 20)
            changed = []
            survey.add(batch.events)
            rejections.add(batch.rejections)
            if batch.isComplete { break }
        }
        survey.finish()
        var report = ShadowReport(path: path)
        try report.describe(survey, fleet)
        report.notes = notes(rejections, survey)
        return report
    }

    /// What declared agents are called, by themselves or by a framework that cannot bear that.
    private static func names(_ fleet: Fleet) throws -> Set<String> {
        var names: Set<String> = []
        for agent in try fleet.agents() {
            names.insert(agent.description)
            for version in try fleet.agentVersions(agent) {
                if let name = try fleet.agent(agent, version)?.value?.name { names.insert(name.value) }
            }
        }
        return names
    }

    private static func notes(_ rejections: Rejections, _ survey: ShadowSurvey) -> [String] {
        var notes: [String] = []
        let unread = rejections[.malformedLine] + rejections[.longLine]
        if unread > 0 { notes.append("\(counted(unread, "line was", "lines were")) not read") }
        if rejections[.unreadableFile] > 0 {
            notes.append("\(counted(rejections[.unreadableFile], "file", "files")) cannot be read")
        }
        if survey.unlisted > 0 { notes.append("there are more names than are listed") }
        return notes
    }

    private mutating func describe(_ survey: ShadowSurvey, _ fleet: Fleet) throws {
        (declaredTraces, otherTraces) = (survey.declaredTraces, survey.otherTraces)
        var taken = Set(try fleet.agents().map(\.description))
        for (agent, doings) in survey.agents.sorted(by: {
            ($1.value.runs, $1.value.sighting.spans, $0.key.name ?? "", $0.key.service ?? "")
                < ($0.value.runs, $0.value.sighting.spans, $1.key.name ?? "", $1.key.service ?? "")
        }) {
            agents.append(
                Agent(
                    name: agent.name,
                    service: agent.service,
                    suggestion: Self.suggestion(agent, &taken),
                    runs: doings.runs,
                    spans: doings.sighting.spans,
                    first: doings.sighting.first.timestamp,
                    last: doings.sighting.last.timestamp,
                    tools: Self.mostUsed(doings.tools),
                    models: Self.mostUsed(doings.models),
                    scopes: doings.scopes.sorted()
                )
            )
        }
        let names = try ToolNames(declaredIn: fleet)
        tools = Self.names(survey.tools.filter { names.meaning(of: $0.key) == nil })
        let known = try Self.models(fleet)
        models = Self.names(survey.models.filter { !known.contains($0.key) })
    }

    private static func mostUsed(_ names: [String: Int64]) -> [String] {
        names.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
    }

    private static func names(_ sightings: [String: ShadowSurvey.Sighting]) -> [Name] {
        sightings.sorted { ($1.value.spans, $0.key) < ($0.value.spans, $1.key) }.map { name, sighting in
            Name(
                name: name,
                spans: sighting.spans,
                first: sighting.first.timestamp,
                last: sighting.last.timestamp
            )
        }
    }

    /// The team of agents whose owner nobody knows yet.
    package static let nobody = "unowned"

    private static func suggestion(_ agent: ShadowSurvey.Agent, _ taken: inout Set<String>) -> String {
        let given = agent.name ?? agent.service ?? "agent"
        var name = given
        if AgentID(given) == nil { name = "\(nobody)/\(folded(given) ?? "agent")" }
        var unique = name
        var number = 2
        while taken.contains(unique) {
            unique = "\(name)-\(number)"
            number += 1
        }
        taken.insert(unique)
        return unique
    }

    /// A name that the fleet may have, from any text: small letters, digits and `-`; nil if nothing is left of it.
    package static func folded(_ text: String) -> String? {
        var bytes: [UInt8] = []
        for byte in text.utf8.prefix(256) {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): bytes.append(byte)
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): bytes.append(byte | 0x20)
            default: if let last = bytes.last, last != UInt8(ascii: "-") { bytes.append(UInt8(ascii: "-")) }
            }
        }
        bytes = Array(bytes.prefix(48))
        while bytes.last == UInt8(ascii: "-") { bytes.removeLast() }
        let name = String(decoding: bytes, as: UTF8.self)
        return EnsignModel.Name.isValid(name) ? name : nil
    }

    // MARK: What is declared

    /// The models that agents name, and those with a price.
    private static func models(_ fleet: Fleet) throws -> Set<String> {
        var models = Set(try fleet.prices()?.value?.models.keys.map { $0 } ?? [])
        for agent in try fleet.agents() {
            for version in try fleet.agentVersions(agent) {
                if let model = try fleet.agent(agent, version)?.value?.model { models.insert(model.key) }
            }
        }
        return models
    }
}

// MARK: - JSON

extension ShadowReport {
    package var json: JSONValue {
        func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
        func list(_ names: [Name]) -> JSONValue {
            .array(
                names.map {
                    [
                        "name": .string($0.name), "spans": .integer($0.spans),
                        "first": .string($0.first.description), "last": .string($0.last.description),
                    ]
                }
            )
        }
        return [
            "v": 1, "path": .string(path),
            "agents": .array(
                agents.map {
                    [
                        "name": text($0.name), "service": text($0.service), "suggestion": .string($0.suggestion),
                        "owner": .null, "runs": .integer($0.runs), "spans": .integer($0.spans),
                        "first": .string($0.first.description), "last": .string($0.last.description),
                        "tools": .array($0.tools.map { .string($0) }),
                        "models": .array($0.models.map { .string($0) }),
                        "scopes": .array($0.scopes.map { .string($0) }),
                    ]
                }
            ),
            "tools": list(tools), "models": list(models), "declaredTraces": .integer(declaredTraces),
            "otherTraces": .integer(otherTraces), "notes": .array(notes.map { .string($0) }),
        ]
    }
}
