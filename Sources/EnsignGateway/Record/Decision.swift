package import EnsignModel
package import EnsignPolicy
import Synchronization

/// What the gateway decided, and what came of it: one line of the decision log, before it has its place in it.
///
/// Values that are not for the log (arguments, keys) are turned into HMACs when it is written.
package struct Decision: Sendable {
    package enum Kind: String, Sendable, Hashable {
        /// Before a call is sent.
        case intent
        /// After it.
        case outcome
        case refused
        /// A request, a signature that counts, a denial, a consumption.
        case approval
        case start, stop
    }

    package enum Verdict: String, Sendable, Hashable {
        case allowed, refused
        /// Forwarded all the same: the agent is only observed.
        case wouldRefuse = "would-refuse"
    }

    package enum Outcome: String, Sendable, Hashable {
        case ok
        case toolError = "tool-error"
        case timeout
        case unknown

        /// Whether anybody knows whether the call was made.
        var isKnown: Bool { self == .ok || self == .toolError }
    }

    package struct Asked: Sendable, Hashable {
        package var issuer: String
        package var subject: String

        package init(issuer: String, subject: String) {
            self.issuer = issuer
            self.subject = subject
        }
    }

    /// What the lines of one call say in place of its key and its arguments: worked out once.
    package final class MACs: Sendable {
        let words = Mutex<(key: String?, arguments: String?)?>(nil)

        package init() {}
    }

    package var kind: Kind
    package var agent: AgentID?
    package var version: AgentVersion?
    /// The run's.
    package var bundle: Digest?
    /// The one that the route gives now, where it is another.
    package var present: Digest?
    /// The entry of the ledger that the route was published by.
    package var entry: Int64?
    package var run: RunName?
    /// The run's name where nobody remembers who gave it.
    package var bareRun: String?
    package var key: String?
    package var asked: Asked?
    /// `TOOL.OPERATION`.
    package var operation: String?
    package var arguments: JSONValue?
    /// The same for all lines with this key and these arguments; nil for a line by itself.
    package var macs: MACs?
    package var verdict: Verdict?
    package var reason: Refusal.Reason?
    /// A JSON Pointer into the schema.
    package var pointer: String?
    package var approval: (id: String, by: [String])?
    /// Of one person's answer by the word of an issuer: whose account gave it.
    package var approvingAccount: ApprovalRule.Account?
    package var outcome: Outcome?
    package var milliseconds: Double?
    package var bytes: Int?
    package var trace: String?
    /// Values that the grant keeps in clear (`record`), by JSON Pointer.
    package var recorded: [(pointer: String, value: JSONValue)] = []
    /// The intent that an outcome belongs to.
    package var intent: Int64?
    /// One sentence, for `start`, `stop` and for what an operator must know.
    package var note: String?

    package init(_ kind: Kind, agent: AgentID? = nil) {
        self.kind = kind
        self.agent = agent
    }
}
