import EnsignMCP
import EnsignModel
import EnsignPolicy

/// What `tools/list` shows: what was reviewed, and no word of a server.
extension Gate {
    package func offer(to session: Session, traceparent: String?) -> Result<[OfferedTool], Refusal> {
        do throws(Refusal) {
            let (run, present) = try listed(session, traceparent: traceparent)
            var tools: [OfferedTool] = []
            let structured = structured(run, present)
            for tool in run.bundle.tools where isOn(tool.tool, run, present) {
                for (name, operation) in tool.operations {
                    guard let own = present.bundle.operation(tool.tool, name) else { continue }
                    // The earlier day counts, as for a call.
                    if [operation.expires, own.expires].contains(where: { $0.map { $0 < now.date } ?? false }) {
                        continue
                    }
                    tools.append(offered(tool, name, operation, structured[tool.tool] ?? []))
                }
            }
            return .success(tools.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) })
        } catch {
            return error.reason == .halted ? .success([]) : .failure(error)
        }
    }

    package func mirrored(by name: String, for session: Session, traceparent: String?) -> MirroredArguments? {
        guard let (run, present) = try? listed(session, traceparent: traceparent),
            case .operation(let named) = run.names.resolve(name),
            present.digest == run.digest || present.bundle.operation(named.tool, named.name) != nil
        else { return nil }
        // Where a header is none, no client sends it, and nobody is to rely on it.
        return try? MirroredArguments(of: run.bundle.operation(named.tool, named.name)?.input)
    }

    package func offerMark(for session: Session) -> Int {
        guard let (run, present) = try? listed(session, traceparent: nil) else { return 0 }
        var hasher = Hasher()
        hasher.combine(run.digest)
        hasher.combine(present.digest)
        for tool in run.bundle.tools where isOn(tool.tool, run, present) { hasher.combine(tool.tool) }
        return hasher.finalize()
    }

    /// Whether the operator's file has the server of a tool: what is off is not offered. Calls go by what is present.
    private func isOn(_ tool: String, _ run: PreparedBundle, _ present: PreparedBundle) -> Bool {
        let isThere = present.bundle.tools.contains { $0.tool == tool }
        if case .success = parts.upstreams.reference(of: tool, in: isThere ? present : run) { return true }
        return false
    }

    /// The bundles whose operations a session sees: those of its run, as far as it has begun.
    private func listed(
        _ session: Session,
        traceparent: String?
    ) throws(Refusal) -> (run: PreparedBundle, present: PreparedBundle) {
        let run = run(of: session, traceparent: traceparent)
        let beginning = try? parts.runs.beginning(of: run.name, session.agent)
        let key = beginning?.key ?? session.key.map(Self.bounded) ?? run.name
        let present = try present(session.agent, key: key, for: "the list of tools")
        guard let beginning, beginning.bundle != present.digest else { return (present, present) }
        guard let then = try? parts.live.ready().bundle(beginning.bundle, isOld: true) else {
            throw RefusalWords.unreadable("the list of tools")
        }
        return (then, present)
    }

    private func offered(
        _ tool: BundleTool,
        _ name: String,
        _ operation: BundleOperation,
        _ structured: Set<String>
    ) -> OfferedTool {
        OfferedTool(
            name: ModelName.name(tool.tool, name),
            description: operation.description ?? tool.description,
            input: Self.input(operation.input),
            output: structured.contains(operation.serverTool ?? name) ? operation.output : nil
        )
    }

    /// The protocol wants an object's schema. An operation without one takes no arguments.
    private static func input(_ schema: JSONValue?) -> JSONValue {
        let schema = TakenInput.schema(schema)
        guard var members = schema.object, members["type"] == nil else { return schema }
        members["type"] = "object"
        return .object(members)
    }

    /// The servers' tools that give structured results, as they say: clients fail when an output schema is shown and none
    /// comes. A server that does not answer soon shows no schema; its tools are listed all the same. The time is for all of
    /// them together: OpenAI Agents waits five seconds for the list.
    private func structured(_ run: PreparedBundle, _ present: PreparedBundle) -> [String: Set<String>] {
        var stations: [String: UpstreamDesk.Station] = [:]
        for tool in run.bundle.tools where tool.operations.values.contains(where: { $0.output != nil }) {
            guard case .success(let reference) = parts.upstreams.reference(of: tool) else { continue }
            stations[tool.tool] = parts.upstreams.station(tool.tool, reference: reference)
        }
        let listings = parts.upstreams.listings(stations, within: .seconds(2))
        for (tool, listing) in listings {
            guard let station = stations[tool] else { continue }
            pinFirstSeen(listing, of: tool, run, present, station)
        }
        return listings.mapValues { listing in Set(listing.tools.filter { $0.output != nil }.map(\.name)) }
    }
}
