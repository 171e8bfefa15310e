package import EnsignModel
package import EnsignPolicy

/// What somebody has to agree to.
package struct ApprovalQuestion: Sendable {
    package var agent: AgentID
    package var environment: String
    package var version: AgentVersion
    package var bundle: Digest
    /// `TOOL.OPERATION`.
    package var operation: String
    package var arguments: JSONValue
    package var run: RunName
    /// Who asked the agent for it: never agrees. Nil where nobody is said to have.
    package var asker: Asker?
    /// Whom the agent's own word names besides: agrees as little.
    package var otherAsker: Asker?
    /// What is needed: `manager` or `dual`.
    package var needed: Approval
    /// Who may agree, and with which keys: whoever asks is not among them.
    package var rule: ApprovalRule

    package init(
        agent: AgentID,
        environment: String,
        version: AgentVersion,
        bundle: Digest,
        operation: String,
        arguments: JSONValue,
        run: RunName,
        asker: Asker? = nil,
        otherAsker: Asker? = nil,
        needed: Approval,
        rule: ApprovalRule
    ) {
        self.agent = agent
        self.environment = environment
        self.version = version
        self.bundle = bundle
        self.operation = operation
        self.arguments = arguments
        self.run = run
        self.asker = asker
        self.otherAsker = otherAsker
        self.needed = needed
        self.rule = rule
    }
}

/// Somebody for whom a call is made, by an issuer's word.
package struct Asker: Sendable, Hashable {
    package var issuer: String
    package var subject: String
    package var email: String?

    package init(issuer: String, subject: String, email: String? = nil) {
        self.issuer = issuer
        self.subject = subject
        self.email = email
    }

    /// By which it is known whatever else a token says.
    package var account: ApprovalRule.Account { ApprovalRule.Account(issuer: issuer, subject: subject) }

    /// What it may be called where people agree.
    package var principals: Set<String> { Set([subject, email].compactMap { $0 }) }
}

/// Whether people have agreed to one call.
package enum ApprovalState: Sendable, Hashable {
    /// Not yet asked, or asked and not answered enough: until when the request is good; and the request of the same call whose
    /// outcome nobody knows.
    case pending(id: String, until: Timestamp, mayHaveHappened: String? = nil)
    /// Enough have agreed. Good for one call, which must be taken with ``ApprovalDesk/consume(id:now:)`` before it is sent.
    case granted(id: String, by: [String])
    case denied(id: String, by: String, until: Timestamp)
    /// The agent has too many open requests.
    case tooMany(most: Int)
    /// What would be asked is longer than anybody reads.
    case tooLong(most: Int)
}

/// Requests to people and what they answered. Safe from any number of threads and processes.
package protocol ApprovalDesk: Sendable {
    /// Whether the word of an issuer counts like a signature.
    var trustsIssuers: Bool { get }

    /// Asks, or finds what was answered to the same question: same agent, bundle, operation, arguments and run, for the same person.
    func ask(_ question: ApprovalQuestion, now: Timestamp) throws(RecordFailure) -> ApprovalState

    /// Takes an approval, durably and once.
    ///
    /// - Returns: false when somebody took it before.
    func consume(id: String, now: Timestamp) throws(RecordFailure) -> Bool

    /// Takes back that an approval was taken: its call was not sent, and is nowhere on record.
    func giveBack(id: String) throws(RecordFailure)

    /// Takes note that what came of the call is known which took an approval, or that it was not sent.
    func end(id: String) throws(RecordFailure)
}
