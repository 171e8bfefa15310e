package import EnsignModel

/// A call that was not made, or whose outcome nobody knows: what the caller's model is told.
///
/// A refusal is a result of the protocol, never an error: an error ends the graphs of some frameworks, hides its reason in
/// others, and is sent again by some.
package struct Refusal: Error, Sendable, Hashable {
    /// The kinds, as `_meta` and the decision log name them.
    package enum Reason: String, Sendable, Hashable, CaseIterable {
        /// Not granted and unknown are the same: whoever may not call it learns nothing about it.
        case notGranted = "not-granted"
        case arguments
        /// A call that must come first has not been made.
        case precondition
        case expired
        case halted
        case approvalPending = "approval-pending"
        case approvalDenied = "approval-denied"
        /// Steps, seconds, tokens, money, rates, runs at a time.
        case budget
        /// The same call again and again, or too many refusals.
        case loop
        /// The server's definition of the tool is not the one that was reviewed.
        case pinned
        /// Nobody can say, or do, now: try later.
        case unavailable
        /// It was sent, and no answer came.
        case unknownOutcome = "unknown-outcome"
    }

    package var reason: Reason
    /// What was refused, the value, the limit, and whether trying again helps. For a model: no paths, no other agents, nothing
    /// that a server wrote to its standard error.
    package var text: String
    /// Where in the arguments, and which keyword of their schema refuses, as a JSON Pointer: `/amount/maximum`.
    package var pointer: String?
    /// Whether it may be one of a flood: there was no room for the call, whatever it is, or its client calls too much. Of those
    /// only some have a line of the log for themselves (``RefusalTally``).
    package var isOfMany = false

    package init(_ reason: Reason, _ text: String, pointer: String? = nil) {
        self.reason = reason
        self.text = text
        self.pointer = pointer
    }

    /// A `CallToolResult` of the protocol.
    ///
    /// - Parameter decision: The entry of the decision log; nil where it could not be written.
    package func result(decision: Int64?) -> JSONValue {
        var meta: JSONObject = ["dev.ensign/reason": .string(reason.rawValue)]
        if let decision { meta["dev.ensign/decision"] = .integer(decision) }
        return [
            "content": [["type": "text", "text": .string(text)]], "isError": true, "_meta": .object(meta),
        ]
    }
}
