import EnsignMCP
import EnsignModel
import EnsignPolicy

/// What the gateway pins by itself, where git pins nothing.
extension Gate {
    /// Pins what a server's list says of all that a tool's bundles grant: what counts is what was seen first, and not what was
    /// called first.
    func pinFirstSeen(
        _ listing: ServerListing,
        of tool: String,
        _ run: PreparedBundle,
        _ present: PreparedBundle,
        _ station: UpstreamDesk.Station
    ) {
        let bundles = [run.digest, present.digest]
        guard !station.pins.isTaken(listing, for: bundles) else { return }
        let tools = [run, present].flatMap { $0.bundle.tools.filter { $0.tool == tool } }
        let names = Set(tools.flatMap(\.operations.keys))
        var pinned: [String] = []
        for name in names.sorted() {
            let granted = Granted(tool, name, run: run, present: present)
            guard granted.all.allSatisfy({ $0.pin == nil }) else { continue }
            let serverTool = granted.all.first?.serverTool ?? name
            let offered = Set(listing.tools(named: serverTool).map(station.pins.pin(of:)))
            // What is listed twice is taken in neither form.
            guard offered.count == 1, let seen = offered.first else { continue }
            let place = PinPlace(tool: tool, operation: name, serverTool: serverTool, reference: station.reference)
            do throws(RecordFailure) {
                if try pin(place, as: seen, listing, station).isNew { pinned.append("\(tool).\(name)") }
            } catch {
                // It stops calls of this operation, and of no other.
                parts.say("the pin of \(tool).\(name) cannot be read: \(error.message)")
            }
        }
        station.pins.take(listing, for: bundles)
        guard !pinned.isEmpty else { return }
        parts.say("first seen, and pinned so, since git has no pin: \(pinned.joined(separator: ", "))".cut(utf8: 1_000))
    }

    /// The pin of an operation: of what an observed agent is not granted, too.
    func firstSeen(
        _ seen: Digest,
        _ ruling: Ruling,
        _ station: UpstreamDesk.Station,
        _ listing: ServerListing,
        _ context: CallContext
    ) throws(Refusal) -> Digest {
        let place = PinPlace(
            tool: ruling.tool,
            operation: ruling.name,
            serverTool: ruling.serverTool,
            reference: station.reference
        )
        do throws(RecordFailure) { return try pin(place, as: seen, listing, station).pin } catch {
            throw unreadable(error, context)
        }
    }

    private func pin(
        _ place: PinPlace,
        as seen: Digest,
        _ listing: ServerListing,
        _ station: UpstreamDesk.Station
    ) throws(RecordFailure) -> (pin: Digest, isNew: Bool) {
        try parts.pins.pinned(place, seen: seen) { pin in
            pin != seen && listing.tools.contains { station.pins.pin(of: $0) == pin }
        }
    }

    private func unreadable(_ failure: RecordFailure, _ context: CallContext) -> Refusal {
        parts.say("pins cannot be read: \(failure.message)")
        return RefusalWords.unrecorded(context.operation)
    }
}
