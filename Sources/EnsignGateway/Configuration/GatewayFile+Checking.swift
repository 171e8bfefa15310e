import EnsignManifest
import EnsignModel
import EnsignSystem

/// What the file says against itself. What it names on this machine is ``Surroundings``' part.
extension GatewayFile {
    func check(_ document: inout OperatorDocument) {
        checkFolders(&document)
        checkAgents(&document)
        for (tool, line) in upstreams.sorted(by: { $0.key < $1.key }) { check(line, tool, &document) }
        let used = Set(upstreams.values.flatMap(\.references).compactMap { Self.scheme(of: $0.value) })
        for (scheme, words) in credentials.sorted(by: { $0.key < $1.key }) where !used.contains(scheme) {
            guard let word = words.first else { continue }
            document.add(.warning, "unused", "no upstream has a reference of '\(scheme)'", at: word.position)
        }
    }

    /// The scheme of a reference: `vault` of `vault:payments`.
    package static func scheme(of reference: String) -> String? {
        reference.firstIndex(of: ":").map { String(reference[..<$0]) }
    }

    // MARK: Folders

    private func checkFolders(_ document: inout OperatorDocument) {
        if Self.isWithin(path, live.value) {
            document.add(
                "misplaced",
                "this file lies in the live directory: whoever publishes there would decide what is enforced",
                at: live.position,
                hint: "move it to a place that only the operator may write to, such as /etc/ensign"
            )
        }
        if Self.isWithin(keys.value, live.value) {
            document.add(
                "misplaced",
                "the keys lie in the live directory: whoever may write there would decide whose routes count",
                at: keys.position
            )
        }
        if Self.overlap(state.value, live.value) {
            document.add("misplaced", "the state and the live directory must not lie in each other", at: state.position)
        }
        for (name, place) in [("telemetry", telemetry), ("usage", usage)] {
            guard let place, Self.overlap(place.value, live.value) || Self.isWithin(state.value, place.value) else {
                continue
            }
            document.add("misplaced", "\(name) must have a folder of its own", at: place.position)
        }
    }

    /// Whether one path is the other one, or lies in it.
    static func isWithin(_ path: String, _ folder: String) -> Bool {
        let (path, folder) = (parts(path), parts(folder))
        return path.count >= folder.count && zip(path, folder).allSatisfy { $0.utf8.elementsEqual($1.utf8) }
    }

    static func overlap(_ one: String, _ other: String) -> Bool { isWithin(one, other) || isWithin(other, one) }

    private static func parts(_ path: String) -> [Substring] {
        path.split(separator: "/").filter { $0 != "." }
    }

    // MARK: Agents

    private func checkAgents(_ document: inout OperatorDocument) {
        var seen: [String: AgentLine] = [:]
        for line in agents {
            let (key, what) =
                switch line.proof {
                case .token(let digest): ("token \(digest)", "the same token")
                // One account may speak for several agents: then it says for which one.
                case .account(let uid): ("uid \(uid) \(line.agent)", "the same account")
                case .jwt(let issuer, let subject):
                    ("jwt \(issuer.issuer)\n\(issuer.audience)\n\(subject)", "the same subject of the same issuer")
                }
            if let other = seen[key] {
                document.add(
                    "ambiguous-identity",
                    other.agent == line.agent
                        ? "\(line.agent) is proven by \(what) twice"
                        : "\(what) would prove \(other.agent) and \(line.agent): nobody could say which one speaks",
                    at: line.position,
                    hint: "the other line is \(other.position.line)"
                )
            }
            seen[key] = line
        }
        let connects = listen.http != nil || listen.https != nil || listen.socket != nil
        if connects, agents.isEmpty {
            document.add(.warning, "nobody", "no agent may connect: 'agents' is empty", at: live.position)
        }
        for line in agents {
            if case .account = line.proof, connects, listen.socket == nil {
                document.add(
                    .warning,
                    "unused",
                    "\(line.agent) is proven by an account, and accounts are known on a socket only",
                    at: line.position,
                    hint: "set listen.socket"
                )
            }
        }
    }

    // MARK: Upstreams

    private func check(_ line: UpstreamLine, _ tool: String, _ document: inout OperatorDocument) {
        for reference in line.references {
            guard let scheme = Self.scheme(of: reference.value), credentials[scheme] == nil else { continue }
            document.add(
                "no-resolver",
                "\(tool): nothing reads references of '\(scheme)'",
                at: reference.position,
                hint: "add credentials.\(scheme).command"
            )
        }
        let holder = line.templates.first { $0.value.value.contains(UpstreamLine.placeholder) }
        if let holder, line.references.isEmpty {
            document.add(
                "no-reference",
                "\(tool): '\(holder.name)' wants credentials, and the line lists no references",
                at: holder.value.position,
                hint: "add references: [vault:...], those that the server may get"
            )
        }
        if holder == nil, let reference = line.references.first {
            document.add(
                .warning,
                "unused",
                "\(tool): no header and no variable has '{credentials}' in it, so the server never gets them",
                at: reference.position
            )
        }
        guard case .program(let program) = line.address, let sandbox = program.sandbox else { return }
        for place in sandbox.read + sandbox.write where Self.overlap(place.value, state.value) {
            document.add(
                "misplaced",
                "\(tool): the sandbox would show the gateway's state: approvals and the log",
                at: place.position
            )
        }
        for place in sandbox.write where Self.overlap(place.value, live.value) {
            document.add(
                "misplaced",
                "\(tool): the sandbox would let a server write what is live",
                at: place.position
            )
        }
    }
}
