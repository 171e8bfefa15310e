import EnsignMCP
package import EnsignModel
import EnsignPolicy
import EnsignSystem

/// What agents are granted, held against what the operator's servers offer now.
package struct Survey: Sendable {
    /// One tool that some agent is granted, or that the operator has a server for.
    package struct Tool: Sendable, Hashable {
        package var name: String
        /// The operator's server in words; nil without a line.
        package var server: String?
        /// Why it is off for some, or does not answer.
        package var problems: [String] = []
        package var operations: [Operation] = []
        /// What the server offers and nobody is granted, by its own names.
        package var others: [String] = []
        /// Whether nobody is granted anything of it.
        package var isUnused = false
    }

    package struct Operation: Sendable, Hashable {
        package enum State: String, Sendable, Hashable {
            /// As it was reviewed, by its pin in git.
            case pinned
            /// As it was first seen: nobody has reviewed it.
            case firstSeen = "first-seen"
            /// The server is asked for the first time: it is pinned so from now on.
            case new
            /// Another definition than the one that is pinned.
            case changed
            /// The server does not offer it.
            case missing
            /// The server was not asked, or did not answer.
            case unknown
        }

        package var name: String
        /// What the server calls it. Two versions of a tool may map an operation to two of them: then there are two entries.
        package var serverTool: String
        /// Of the credentials that its server is reached with; nil without any.
        package var reference: String?
        package var state: State
        package var agents: [AgentID]
        /// In git where it is there, else as it was first seen.
        package var pin: Digest?
        package var isPinnedInGit: Bool
        package var offered: Digest?
        /// Whether the server lists it more than once, with different definitions: it counts as changed.
        package var isListedTwice = false
        /// Those whose calls need an approval that nobody can give now.
        package var unapprovable: [AgentID] = []

        /// Its name, and the server's where that is another.
        package var shown: String { serverTool == name ? name : "\(name) (\(serverTool))" }

        package func place(of tool: String) -> PinPlace {
            PinPlace(tool: tool, operation: name, serverTool: serverTool, reference: reference)
        }
    }

    package private(set) var tools: [Tool] = []
    /// What of the live directory cannot be read, an agent each.
    package private(set) var trouble: [String] = []
    /// What an operator should know of the credentials that were read.
    package private(set) var warnings: [String] = []
    package private(set) var agents = 0
    package private(set) var environment: String?

    package var hasProblems: Bool {
        !trouble.isEmpty
            || tools.contains { tool in
                !tool.problems.isEmpty
                    || tool.operations.contains {
                        $0.state == .changed || $0.state == .missing || !$0.unapprovable.isEmpty
                    }
            }
    }

    /// Reads the live directory and asks every server.
    ///
    /// - Parameter time: How long one may take.
    package init(_ gateway: Gateway, within time: Duration = .seconds(15)) {
        var found = Found()
        do throws(LiveTrouble) {
            let live = try gateway.live.ready()
            environment = live.environment
            let policy = try live.policy()
            for agent in try live.agents() {
                agents += 1
                do throws(LiveTrouble) {
                    guard case .open(let route, _) = try live.route(of: agent) else { continue }
                    for target in route.targets {
                        found.take(try live.bundle(target.digest).bundle, of: agent, policy, gateway)
                    }
                } catch { trouble.append("\(agent): \(error)") }
            }
        } catch { trouble.append("\(error)") }
        let wanted = found.wanted
        for name in Set(wanted.keys).union(gateway.file.upstreams.keys).sorted() {
            var tool = Tool(name: name, server: gateway.file.upstreams[name]?.shown)
            tool.problems = (found.off[name] ?? []).sorted()
            // Where something could not be read, nobody can say what is used.
            tool.isUnused = wanted[name] == nil && trouble.isEmpty
            let asked = found.references[name] ?? Self.pinned(name, gateway)
            let listings = asked.sorted { $0 ?? "" < $1 ?? "" }
                .map { ($0, Self.listing(name, $0, gateway, time)) }
            for case (_, .failure(let why)) in listings { tool.problems.append(why.message) }
            let offers = Dictionary(
                uniqueKeysWithValues: listings.compactMap { reference, found in
                    (try? found.get()).map { (reference, $0) }
                }
            )
            tool.operations = (wanted[name] ?? [:]).sorted { Self.isBefore($0.key, $1.key) }.map { place, wanted in
                Self.operation(place, wanted, offers[place.reference], gateway)
            }
            // Pins of who is halted, cannot be read, or is only observed and called what it is not granted.
            tool.operations += Self.seen(offers, of: name, besides: Set((wanted[name] ?? [:]).keys), gateway)
            let taken = Set((wanted[name] ?? [:]).keys.map(\.serverTool))
            // Of what nobody is granted it matters to nobody.
            let leftOut = Set(
                offers.values.flatMap { $0.leftOut.filter { taken.contains($0.key) } }.map { why in
                    "the server's \(why.key.quoted(utf8: 130)) is not taken: \(why.value)"
                }
            )
            tool.problems += leftOut.sorted()
            let offered = Set(offers.values.flatMap(\.tools).map(\.name))
            tool.others = offered.subtracting(taken).sorted()
            tools.append(tool)
        }
        warnings = gateway.secrets.uncut.map(SecretShelf.warning)
    }

    // MARK: What is granted

    private struct Wanted {
        var agents: Set<AgentID> = []
        var pins: Set<Digest> = []
        var unapprovable: Set<AgentID> = []
    }

    /// What all live bundles grant, by tool.
    private struct Found {
        var wanted: [String: [PinPlace: Wanted]] = [:]
        /// Why a tool is off.
        var off: [String: Set<String>] = [:]
        var references: [String: Set<String?>] = [:]

        mutating func take(_ bundle: Bundle, of agent: AgentID, _ policy: GatewayPolicy?, _ gateway: Gateway) {
            for tool in bundle.tools {
                var reference: String?
                switch gateway.upstreams.reference(of: tool) {
                case .success(let found):
                    reference = found
                    references[tool.tool, default: []].insert(found)
                case .failure(let why): off[tool.tool, default: []].insert("\(why)")
                }
                let unapprovable = Survey.unapprovable(tool, bundle, policy, gateway)
                for (name, operation) in tool.operations {
                    let place = PinPlace(
                        tool: tool.tool,
                        operation: name,
                        serverTool: operation.serverTool ?? name,
                        reference: reference
                    )
                    var entry = wanted[tool.tool]?[place] ?? Wanted()
                    entry.agents.insert(agent)
                    if let pin = operation.pin { entry.pins.insert(pin) }
                    if unapprovable.contains(name) { entry.unapprovable.insert(agent) }
                    wanted[tool.tool, default: [:]][place] = entry
                }
            }
        }
    }

    /// The operations of a tool that need an approval which nobody can give now.
    private static func unapprovable(
        _ tool: BundleTool,
        _ bundle: Bundle,
        _ policy: GatewayPolicy?,
        _ gateway: Gateway
    ) -> [String] {
        // Whoever is only observed is not held by it.
        guard bundle.mode != .observe else { return [] }
        return tool.operations.keys.filter { name in
            !ApprovalRule(
                bundle,
                tool: tool.tool,
                operation: name,
                policy: policy,
                asking: gateway.admission.principals(of: bundle.agent),
                accounts: gateway.admission.accounts(of: bundle.agent)
            ).isPossible(at: Timestamp(seconds: Machine.now), byIssuers: gateway.approvals.trustsIssuers)
        }
    }

    /// How a tool is reached of which nobody is granted anything, and the gateway keeps pins.
    private static func pinned(_ tool: String, _ gateway: Gateway) -> Set<String?> {
        guard gateway.pins.knows(tool), case .success(let reference) = gateway.upstreams.reference(ofUngranted: tool)
        else { return [] }
        return [reference]
    }

    /// What is offered and granted to nobody, and was another one when it was first seen.
    private static func seen(
        _ offers: [String?: ServerListing],
        of tool: String,
        besides granted: Set<PinPlace>,
        _ gateway: Gateway
    ) -> [Operation] {
        var found: [PinPlace: Operation] = [:]
        for (reference, listing) in offers {
            for name in listing.tools.map(\.name) where OperationName.isValid(name) {
                let place = PinPlace(tool: tool, operation: name, serverTool: name, reference: reference)
                guard !granted.contains(place), found[place] == nil else { continue }
                let operation = operation(place, Wanted(), listing, gateway)
                if operation.pin != nil, operation.state == .changed { found[place] = operation }
            }
        }
        return found.sorted { isBefore($0.key, $1.key) }.map(\.value)
    }

    private static func isBefore(_ one: PinPlace, _ other: PinPlace) -> Bool {
        let (this, that) = (one.reference ?? "", other.reference ?? "")
        return (one.operation, one.serverTool, this) < (other.operation, other.serverTool, that)
    }

    // MARK: What is offered

    private static func listing(
        _ tool: String,
        _ reference: String?,
        _ gateway: Gateway,
        _ time: Duration
    ) -> Result<ServerListing, UpstreamFailure> {
        Result { () throws(UpstreamFailure) in
            guard let station = gateway.upstreams.station(tool, reference: reference) else {
                return ServerListing(tools: [])
            }
            do throws(UpstreamFailure) { return try station.upstream.listing(within: time) } catch {
                let cutter = gateway.secrets.cutter
                let message = cutter.cut(error.message)
                guard let last = lastLine(station.upstream.said, cutter) else {
                    throw UpstreamFailure(error.kind, message)
                }
                throw UpstreamFailure(error.kind, "\(message); it said: \(last.onOneLine(utf8: 200))")
            }
        }
    }

    /// The last words of what a server said, without secrets: those are cut first, since an escape would make other text of them.
    static func lastLine(_ said: [UInt8], _ cutter: SecretCutter) -> String? {
        String(decoding: cutter.cut(words: said), as: UTF8.self).split(whereSeparator: \.isNewline)
            .last { !$0.allSatisfy(\.isWhitespace) }.map(String.init)
    }

    private static func operation(
        _ place: PinPlace,
        _ wanted: Wanted,
        _ listing: ServerListing?,
        _ gateway: Gateway
    ) -> Operation {
        let pins = (listing?.tools ?? []).map { ToolPin.digest(name: $0.name, input: $0.input, output: $0.output) }
        let own = (listing?.tools(named: place.serverTool) ?? []).map {
            ToolPin.digest(name: $0.name, input: $0.input, output: $0.output)
        }
        let digest = own.first
        let seen = (try? gateway.pins.kept(place) { $0 != digest && pins.contains($0) }) ?? nil
        let pin = wanted.pins.sorted().first ?? seen
        var operation = Operation(
            name: place.operation,
            serverTool: place.serverTool,
            reference: place.reference,
            state: listing == nil ? .unknown : .missing,
            agents: wanted.agents.sorted(),
            pin: pin,
            isPinnedInGit: !wanted.pins.isEmpty
        )
        operation.unapprovable = wanted.unapprovable.sorted()
        guard let digest else { return operation }
        operation.offered = digest
        operation.isListedTwice = own.contains { $0 != digest }
        if operation.isListedTwice {
            operation.state = .changed
        } else if wanted.pins.isEmpty {
            operation.state = seen.map { $0 == digest ? .firstSeen : .changed } ?? .new
            // What is seen first counts, whoever looks.
            if operation.state == .new {
                operation.pin = try? gateway.pins.pinned(place, seen: digest) { $0 != digest && pins.contains($0) }.pin
            }
        } else {
            operation.state = wanted.pins == [digest] ? .pinned : .changed
        }
        return operation
    }
}

extension Survey {
    package var json: JSONValue {
        [
            "environment": environment.map(JSONValue.string) ?? .null, "agents": .integer(Int64(agents)),
            "trouble": .array(trouble.map(JSONValue.string)), "warnings": .array(warnings.map(JSONValue.string)),
            "tools": .array(tools.map(\.json)),
        ]
    }
}

extension Survey.Tool {
    fileprivate var json: JSONValue {
        [
            "tool": .string(name), "server": server.map(JSONValue.string) ?? .null, "unused": .bool(isUnused),
            "problems": .array(problems.map(JSONValue.string)), "operations": .array(operations.map(\.json)),
            "others": .array(others.map(JSONValue.string)),
        ]
    }
}

extension Survey.Operation {
    fileprivate var json: JSONValue {
        [
            "operation": .string(name), "serverTool": .string(serverTool),
            "credentials": reference.map(JSONValue.string) ?? .null, "state": .string(state.rawValue),
            "agents": .array(agents.map { .string($0.description) }),
            "pin": pin.map { .string($0.description) } ?? .null, "pinnedInGit": .bool(isPinnedInGit),
            "offered": offered.map { .string($0.description) } ?? .null, "listedTwice": .bool(isListedTwice),
            "nobodyApproves": .array(unapprovable.map { .string($0.description) }),
        ]
    }
}
