package import EnsignModel
import EnsignSystem

/// What a gateway can say of itself without claiming too much (docs/gateway.md, "What it can claim").
package struct Claim: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable {
        /// What goes through the gateway is checked and recorded.
        case local
        /// It alone can get at what opens the tools' doors.
        case soleHolder = "sole-holder"
    }

    package var kind: Kind
    /// Why it can claim no more; none for `sole-holder`.
    package var reasons: [String]

    /// - Parameter isStarted: Whether a client starts it, and so as the account of the agent.
    package init(_ file: GatewayFile, account: UInt32 = Machine.effectiveUserID, isStarted: Bool) {
        var reasons: [String] = []
        if isStarted { reasons.append("its client started it: both have the same account") }
        for line in file.agents {
            if case .account(account) = line.proof { reasons.append("\(line.agent) has the same account") }
        }
        for (scheme, words) in file.credentials.sorted(by: { $0.key < $1.key }) {
            guard let program = words.first?.value else { continue }
            if Self.allows(0o001, program) {
                reasons.append("everybody on this host may run \(program), which reads '\(scheme)'")
            } else if file.listen.socket != nil, Self.allows(0o010, program) {
                reasons.append("a group may run \(program), which reads '\(scheme)', and the socket is open to a group")
            }
        }
        for (tool, line) in file.upstreams.sorted(by: { $0.key < $1.key }) where !line.wantsCredentials {
            switch line.address {
            case .web(let url, _):
                reasons.append("\(tool) needs no credentials: whoever reaches \(url.value) may use it")
            case .program(let program):
                guard let name = program.words.first?.value, Self.allows(0o001, name) else { continue }
                reasons.append("\(tool) needs no credentials, and everybody on this host may run \(name)")
            }
        }
        kind = reasons.isEmpty ? .soleHolder : .local
        self.reasons = Array(reasons.prefix(20))
    }

    /// What it says at start, and what the log keeps.
    package var sentence: String {
        switch kind {
        case .soleHolder: "sole-holder: without the gateway the tools' doors stay shut"
        case .local: "local: what goes through the gateway is checked and recorded; \(reasons.joined(separator: "; "))"
        }
    }

    package var json: JSONValue {
        ["claim": .string(kind.rawValue), "reasons": .array(reasons.map(JSONValue.string))]
    }

    /// Whether a program's permissions have a bit.
    private static func allows(_ bit: UInt32, _ program: String) -> Bool {
        guard let path = Files.canonical(program), let status = try? Files.status(path) else { return false }
        return UInt32(status.permissions) & bit != 0
    }
}
