package import EnsignModel

/// The operator's file: what a gateway enforces, for whom, and with which servers (docs/gateway-file.md).
///
/// All paths are absolute.
package struct GatewayFile: Sendable {
    /// Where it was read from.
    package var path: String
    package var live: Located<String>
    package var keys: Located<String>
    package var state: Located<String>
    /// A login name or a number; nil for whoever owns the live directory at start.
    package var owner: Located<String>?
    package var maxAge: TimeSpan?
    package var listen = Listen()
    package var agents: [AgentLine] = []
    package var asked: [IssuerLine] = []
    package var upstreams: [String: UpstreamLine] = [:]
    /// Programs and their arguments by the scheme of references.
    package var credentials: [String: [Located<String>]] = [:]
    package var approvals = Approvals()
    package var limits = Limits()
    package var telemetry: Located<String>?
    package var usage: Located<String>?
    package var output = Strictness.strict
    package var pins = PinRule.strict
    package var keep = TimeSpan(minutes: 0)
    package var anchors: [[Located<String>]] = []

    /// What becomes of a result that does not fit its schema.
    package enum Strictness: String, Sendable, CaseIterable {
        case strict, warn
    }

    /// What a changed definition of a tool stops.
    package enum PinRule: String, Sendable, CaseIterable {
        case strict, reads
    }

    package struct Listen: Sendable {
        package var http: ListenAddress?
        package var socket: Located<String>?
        package var https: Encrypted?

        package struct Encrypted: Sendable {
            package var address: ListenAddress
            package var certificate: Located<String>
            package var key: Located<String>
            package var clientCA: Located<String>?
        }
    }

    /// Who may speak for one agent.
    package struct AgentLine: Sendable {
        package var agent: AgentID
        package var proof: Proof
        /// The principal under which it signs, and which never approves.
        package var principal: String?
        package var position: Position

        package enum Proof: Sendable {
            /// The SHA-256 of a token.
            case token(Digest)
            case account(UInt32)
            case jwt(IssuerLine, subject: String)
        }
    }

    /// Whose tokens count, and where its keys are.
    package struct IssuerLine: Sendable {
        package var issuer: String
        package var audience: String
        package var keys: Located<String>
    }

    /// In milliseconds.
    static let startTimeouts: ClosedRange<Int64> = 1_000...600_000

    /// One server.
    package struct UpstreamLine: Sendable {
        package var address: Address
        /// The credentials that it may get.
        package var references: [Located<String>] = []
        package var position: Position

        package enum Address: Sendable {
            case program(Program)
            case web(url: Located<String>, headers: [(name: String, value: Located<String>)])
        }

        package struct Program: Sendable {
            /// The absolute path and the arguments.
            package var words: [Located<String>]
            package var sha256: Located<String>?
            package var user: Located<String>?
            package var directory: Located<String>?
            package var startTimeout = ProgramAddress.startTimeout
            package var sandbox: Sandbox?
            package var environment: [(name: String, value: Located<String>)] = []
        }

        package struct Sandbox: Sendable {
            package var read: [Located<String>] = []
            package var write: [Located<String>] = []
            package var network = false
        }

        /// What is put into the environment or the headers, templates still in it.
        package var templates: [(name: String, value: Located<String>)] {
            switch address {
            case .program(let program): program.environment
            case .web(_, let headers): headers
            }
        }

        /// What stands for the secret in a template.
        package static let placeholder = "{credentials}"

        package var wantsCredentials: Bool { templates.contains { $0.value.value.contains(Self.placeholder) } }
    }

    package struct Approvals: Sendable {
        /// Seconds.
        package var wait: Int64 = 600
        package var notify: [Located<String>] = []
        package var issuers: [IssuerLine] = []
    }

    /// What holds for each agent; nil where nothing is set.
    package struct Limits: Sendable, Hashable {
        package var repeatedCalls: Int64?
        package var refusals: Int64?
        package var callsInFlight: Int64 = 64
        package var stepsPerMinute: Int64?
        package var runsPerHour: Int64?

        package init() {}
    }
}
