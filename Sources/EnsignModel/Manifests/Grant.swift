/// Permission to call some operations of a tool, within limits.
package struct Grant: Sendable {
    package var tool: Located<String>
    package var operations: OperationSelection
    /// Needed for each call.
    package var approval: Approval
    /// A JSON Schema that narrows the operation's own input schema, and its position.
    package var arguments: Located<JSONValue>?
    /// `YYYY-MM-DD`: the last day on which the grant holds.
    package var expires: Located<CalendarDate>?
    /// Who may agree to a call; empty for the agent's team and the tool's owner team.
    package var approvers: [Located<Approver>] = []
    package var rate: CallRate?
    /// What must have succeeded before, in the same run.
    package var after: GrantedPrecondition?
    /// Values of the arguments that the record of calls keeps in clear.
    package var record: [Located<JSONPointer>] = []

    package init(
        tool: Located<String>,
        operations: OperationSelection,
        approval: Approval,
        arguments: Located<JSONValue>?,
        expires: Located<CalendarDate>?
    ) {
        self.tool = tool
        self.operations = operations
        self.approval = approval
        self.arguments = arguments
        self.expires = expires
    }
}

/// A precondition and where its parts are written.
package struct GrantedPrecondition: Sendable {
    package var value: Precondition
    package var operation: Position
    /// Of `same`; nil without one.
    package var same: Position?

    package init(value: Precondition, operation: Position, same: Position?) {
        self.value = value
        self.operation = operation
        self.same = same
    }
}

/// Who must agree to a call before it is made, from nobody to two people.
package enum Approval: String, Sendable, CaseIterable, Comparable {
    case none, manager, dual

    package static func < (left: Approval, right: Approval) -> Bool { left.rank < right.rank }
    private var rank: Int {
        switch self {
        case .none: 0
        case .manager: 1
        case .dual: 2
        }
    }
}

/// A day in the proleptic Gregorian calendar, written `YYYY-MM-DD`.
package struct CalendarDate: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let description: String

    /// Parses a date that exists; nil for anything else.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count == 10 else { return nil }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].utf8.count == 4, parts[1].utf8.count == 2, parts[2].utf8.count == 2,
            parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
            let year = Int(parts[0]), let month = Int(parts[1]), let day = Int(parts[2]),
            (1...12).contains(month), day >= 1
        else { return nil }
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
        let lengths = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard day <= lengths[month - 1] else { return nil }
        description = String(text)
    }

    init(unchecked text: String) {
        description = text
    }

    package static func < (left: CalendarDate, right: CalendarDate) -> Bool { left.description < right.description }
}

/// `kind: Role`: a named set of grants.
package struct Role: Sendable {
    package var grants: [Grant]

    package init(grants: [Grant]) {
        self.grants = grants
    }
}

/// `kind: Team`: the people who own agents and tools.
package struct Team: Sendable {
    /// The principals under which they sign; any other text is a name for people.
    package var members: [Located<String>]
    package var escalation: String?
    /// US dollars that all its agents together may cost in an environment; nil means unlimited.
    package var costUSDPerDay: Double?

    package init(members: [Located<String>], escalation: String?, costUSDPerDay: Double? = nil) {
        self.members = members
        self.escalation = escalation
        self.costUSDPerDay = costUSDPerDay
    }
}
