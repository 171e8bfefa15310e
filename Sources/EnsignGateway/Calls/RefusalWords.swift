import EnsignModel
import EnsignPolicy

/// What a model is told of a call that is not made: what was refused, the value, the limit, whether trying again helps.
///
/// Never in it: other agents, other limits, paths, what a server writes to its standard error, and names that would have
/// been granted.
enum RefusalWords {
    private static let again = "Nothing was done. The same call will be refused again."

    /// - Parameter name: As the client wrote it.
    static func refusal(_ refusal: CallPolicy.Refusal, of call: CallPolicy.Call, calledAs name: String) -> Refusal {
        // What is not granted has no name here.
        let named = call.tool.isEmpty ? name.onOneLine(utf8: 200) : call.name
        switch refusal {
        case .halted: return halted(named)
        case .notGranted: return notGranted(name)
        case .expired(let date):
            return Refusal(.expired, "refused: the permission for \(call.name) ended on \(date). \(again)")
        case .precondition(let condition):
            let same = condition.same.map { ", and '\($0.onOneLine)' must have been the same" } ?? ""
            let need = "\(condition.name) must have succeeded in this run, at most \(condition.within) before\(same)"
            return Refusal(
                .precondition,
                "refused: before \(call.name), \(need). Nothing was done. Make that call first, then try again."
            )
        case .exhausted(let limit):
            return many(Refusal(.budget, "refused: \(named): \(limit.sentence). Nothing was done. \(limit.advice)"))
        case .looping(let loop):
            return many(Refusal(.loop, "refused: \(named): \(loop.sentence). Nothing was done. \(loop.advice)"))
        case .arguments(let pointer, let message):
            return Refusal(
                .arguments,
                "refused: \(call.name): \(message.cut(utf8: 1_000)). \(again)",
                pointer: JSONPointer.text(place(pointer))
            )
        }
    }

    /// Whoever is refused for how much it calls may go on without end.
    private static func many(_ refusal: Refusal) -> Refusal {
        var refusal = refusal
        refusal.isOfMany = true
        return refusal
    }

    /// Where in the arguments, and which keyword: a place in their schema without the steps of the schema itself.
    private static func place(_ pointer: [String]) -> [String] {
        var place: [String] = []
        var rest = pointer[...]
        while let step = rest.popFirst() {
            // A property may have that name, too: then it is where names are.
            if step == "properties", let name = rest.popFirst() { place.append(name) } else { place.append(step) }
        }
        return place
    }

    static func notGranted(_ name: String) -> Refusal {
        Refusal(.notGranted, "refused: there is no tool \(name.quoted(utf8: 130)). \(again)")
    }

    static func halted(_ name: String) -> Refusal {
        Refusal(
            .halted,
            "refused: \(name): this agent has been stopped. Nothing was done. Make no more calls; end now."
        )
    }

    static func unreadable(_ name: String) -> Refusal {
        Refusal(
            .unavailable,
            "not done: \(name): the gateway cannot read what you may do. Nothing was done. Try again later."
        )
    }

    static func unrecorded(_ name: String) -> Refusal {
        Refusal(
            .unavailable,
            "not done: \(name): the gateway cannot record calls now. Nothing was done. Try again later."
        )
    }

    static func off(_ name: String) -> Refusal {
        Refusal(.unavailable, "not done: \(name) is switched off here. Nothing was done. Trying again will not help.")
    }

    static func unreachable(_ name: String) -> Refusal {
        Refusal(.unavailable, "not done: the server of \(name) cannot be reached. Nothing was done. Try again later.")
    }

    /// What the operator's command gives no secret for.
    static func locked(_ name: String) -> Refusal {
        Refusal(
            .unavailable,
            "not done: the credentials of \(name) cannot be read here. Nothing was done. Try again later."
        )
    }

    /// Its program ended again and again, and is started again after a rest.
    static func restarting(_ name: String) -> Refusal {
        Refusal(
            .unavailable,
            "not done: the server of \(name) has ended and is being started again. Nothing was done. Try again in half a minute."
        )
    }

    /// What is told where a server was not reached.
    static func unreachable(_ name: String, _ failure: UpstreamFailure) -> Refusal {
        switch failure.kind {
        case .resting: restarting(name)
        case .unauthorized: unauthorized(name)
        case .answered(let status): answered(name, status)
        case .forgotten: startedAgain(name)
        case .oversized: oversized(name)
        case .withdrawn: changed(name)
        default: unreachable(name)
        }
    }

    /// Its arguments do not fit into headers.
    private static func oversized(_ name: String) -> Refusal {
        Refusal(
            .unavailable,
            "not done: the server of \(name) wants arguments in headers, and they are too long for that. Nothing was done. "
                + "Give shorter ones: the same call will be answered like this again."
        )
    }

    /// It is there, without what it knew of the gateway.
    private static func startedAgain(_ name: String) -> Refusal {
        Refusal(.unavailable, "not done: the server of \(name) has started again. Nothing was done. Try again.")
    }

    /// Those that the operator's command gives, read anew.
    private static func unauthorized(_ name: String) -> Refusal {
        Refusal(
            .unavailable,
            "not done: the server of \(name) refuses the credentials that the gateway has for it. Nothing was done. "
                + "Try again later."
        )
    }

    /// - Parameter status: Of HTTP, from a server that has not done it. 429 says that there were too many requests.
    private static func answered(_ name: String, _ status: Int) -> Refusal {
        let advice = status == 429 ? "Try again later." : "The same call will most likely be answered like this again."
        return Refusal(
            .unavailable,
            "not done: the server of \(name) answered HTTP \(status). Nothing was done. \(advice)"
        )
    }

    static func resting(_ name: String) -> Refusal {
        Refusal(
            .unavailable,
            "not done: the server of \(name) has not answered for a while. Nothing was done. Try again in half a minute."
        )
    }

    static func notOffered(_ name: String) -> Refusal {
        Refusal(
            .unavailable,
            "not done: the server of \(name) does not offer it now. Nothing was done. Trying again will not help."
        )
    }

    static func changed(_ name: String) -> Refusal {
        Refusal(
            .unavailable,
            "not done: \(name): what you may do has just changed. Nothing was done. Call again."
        )
    }

    static func pinned(_ name: String) -> Refusal {
        Refusal(
            .pinned,
            "refused: the server's definition of \(name) is not the one that was reviewed. \(again)"
        )
    }

    static func inFlight(_ most: Int64, _ name: String) -> Refusal {
        var refusal = Refusal(
            .budget,
            "refused: \(name): \(most) calls of this agent are under way, the most at a time. Nothing was done. Try again when one has ended."
        )
        refusal.isOfMany = true
        return refusal
    }

    /// - Parameters:
    ///   - run: An approval is good in the run in which it was asked for.
    ///   - earlier: The approval of the same call before, of which nobody knows what came.
    static func pending(
        _ id: String,
        _ name: String,
        until: Timestamp,
        run: RunName.Source,
        mayHaveHappened earlier: String?
    ) -> Refusal {
        let warning = earlier.map { " The same call, by approval \($0), may have happened before: look first." } ?? ""
        // Some clients begin a trace for each call: none of them ever finds what was agreed to.
        let again =
            run != .trace
            ? "Call again later with exactly these arguments; other arguments need a new approval."
            : "Call again later with exactly these arguments and in the same trace, which is its run: other arguments, and "
                + "another trace, need a new approval. A client that begins a trace for each call has to name its run "
                + "('--run', 'Ensign-Run')."
        return Refusal(
            .approvalPending,
            """
            Waiting for a person: approval \(id) for \(name), until \(until). Nothing was done.\(warning) Go on with other \
            work, or end and say that you wait. \(again)
            """
        )
    }

    /// What is written down of a call of an agent that is only observed: nobody is told.
    static func wouldAsk(_ name: String) -> Refusal {
        Refusal(.approvalPending, "refused: \(name) needs a person's approval.")
    }

    static func denied(_ id: String, _ name: String) -> Refusal {
        Refusal(.approvalDenied, "refused: a person has denied \(name) (approval \(id)). \(again)")
    }

    static func tooMany(_ most: Int, _ name: String) -> Refusal {
        Refusal(
            .approvalPending,
            "refused: \(name) needs a person's approval, and \(most) requests of this agent are open already, the most. Nothing was done. Try again when one has been answered."
        )
    }

    static func tooLong(_ most: Int, _ name: String) -> Refusal {
        Refusal(
            .approvalDenied,
            "refused: \(name) needs a person's approval, and what a person is asked has at most \(most) bytes, the arguments in full. \(again)"
        )
    }

    static func nobodyApproves(_ name: String) -> Refusal {
        Refusal(
            .approvalDenied,
            "refused: \(name) needs a person's approval, and nobody may give it here. \(again)"
        )
    }

    /// - Parameter onlyReads: Whether there is nothing to look at before it is called again.
    static func unknown(_ name: String, onlyReads: Bool = false) -> Refusal {
        let advice =
            onlyReads
            ? "It only reads and changes nothing: call it again."
            : "It may have happened: look before you repeat it. For a minute the same call is not sent again, and is answered "
                + "with what is known of this one."
        return Refusal(
            .unknownOutcome,
            "unknown: \(name) was sent, and no answer came that can be used. \(advice)"
        )
    }

    /// A call that may be repeated, and was stopped before its end.
    ///
    /// - Parameter isStopping: Whether the gateway is stopped; otherwise its client gave up.
    static func givenUp(_ name: String, isStopping: Bool = false) -> Refusal {
        let why = isStopping ? "the gateway is being stopped" : "its client cancelled it"
        let when = isStopping ? " in a moment" : ""
        return Refusal(
            .unknownOutcome,
            "unknown: \(name) was sent, and \(why) before an answer came. It may be called again\(when)."
        )
    }

    static func gone(_ name: String) -> Refusal {
        Refusal(.unavailable, "not done: \(name): the call was given up.")
    }
}

extension JSONPointer {
    /// Segments as a pointer; empty for the whole.
    static func text(_ segments: [String]) -> String {
        segments.map { "/" + $0.replacing("~", with: "~0").replacing("/", with: "~1") }.joined()
    }
}
