import EnsignModel

/// How a call ended, for whoever joined it: what they are told, and what their own line of the log says of it.
///
/// Kept as JSON, in memory and in the files of ``FlightFolder``.
struct Landed: Sendable {
    /// A `CallToolResult`.
    var result: JSONValue
    /// The number of its intent; nil where it came to none, or where none could be written.
    var intent: Int64?
    /// That of its intent.
    var verdict: Decision.Verdict?
    /// Why it would have been refused; nil where it is allowed.
    var wouldRefuse: Refusal.Reason?
    /// Nil where it was refused.
    var outcome: Decision.Outcome?
    /// Whose word it was made with.
    var approval = Approval.none

    init(
        result: JSONValue,
        intent: Int64? = nil,
        verdict: Decision.Verdict? = nil,
        wouldRefuse: Refusal.Reason? = nil,
        outcome: Decision.Outcome? = nil
    ) {
        (self.result, self.intent, self.verdict, self.outcome) = (result, intent, verdict, outcome)
        self.wouldRefuse = wouldRefuse
    }

    /// How a call ended that was sent, or was about to be.
    init(_ result: JSONValue, _ intent: Int64?, _ ruling: Ruling, _ outcome: Decision.Outcome) {
        self.init(
            result: result,
            intent: intent,
            verdict: ruling.verdict,
            wouldRefuse: ruling.wouldRefuse?.reason,
            outcome: outcome
        )
        approval = ruling.asked
    }

    /// Why it was refused, or why nobody knows its outcome; nil for one that was answered.
    var reason: Refusal.Reason? {
        result["_meta"]?["dev.ensign/reason"]?.string.flatMap(Refusal.Reason.init(rawValue:))
    }

    var json: JSONValue {
        var members: JSONObject = ["result": result]
        members["intent"] = intent.map(JSONValue.integer)
        members["verdict"] = (verdict?.rawValue).map(JSONValue.string)
        members["wouldRefuse"] = (wouldRefuse?.rawValue).map(JSONValue.string)
        members["outcome"] = (outcome?.rawValue).map(JSONValue.string)
        if approval != .none { members["approval"] = .string(approval.rawValue) }
        return .object(members)
    }

    /// Reads what was kept; a result alone is what gateways before this one kept.
    init(_ json: JSONValue) {
        guard let result = json["result"] else {
            let isError = json["isError"]?.bool ?? false
            self.init(result: json, outcome: isError ? .toolError : .ok)
            return
        }
        self.init(
            result: result,
            intent: json["intent"]?.int,
            verdict: json["verdict"]?.string.flatMap(Decision.Verdict.init(rawValue:)),
            wouldRefuse: json["wouldRefuse"]?.string.flatMap(Refusal.Reason.init(rawValue:)),
            outcome: json["outcome"]?.string.flatMap(Decision.Outcome.init(rawValue:))
        )
        approval = json["approval"]?.string.flatMap(Approval.init(rawValue:)) ?? .none
    }
}
