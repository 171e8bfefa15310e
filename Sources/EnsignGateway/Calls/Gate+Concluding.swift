import EnsignModel
import EnsignPolicy

/// From what a server answered, or did not, to what the client is told and what is written down.
extension Gate {
    func conclude(
        _ outcome: UpstreamOutcome,
        _ ruling: Ruling,
        _ station: UpstreamDesk.Station,
        _ intent: Int64?,
        _ context: CallContext
    ) -> Made {
        let cutter = parts.secrets.cutter
        switch outcome {
        case .result(let result):
            station.succeeded()
            return Made(landed: answer(result, ruling, cutter, intent, context), wasSent: true)
        case .refused(_, let message):
            station.succeeded()
            let text = "The server refused it: \(cutter.cut(message).onItsLines.cut(utf8: 2_000))"
            let result: JSONValue = ["content": [["type": "text", "text": .string(text)]], "isError": true]
            return Made(landed: answer(result, ruling, cutter, intent, context), wasSent: true)
        case .notSent(let failure):
            parts.say("\(ruling.tool): \(cutter.cut(failure.message))")
            station.learned(failure)
            close(context, ruling, intent, .toolError, note: failure.note)
            let isGivenUp = failure.kind == .cancelled
            let words: Refusal =
                if !isGivenUp {
                    RefusalWords.unreachable(context.operation, failure)
                } else {
                    isClosed ? .stopping(context.operation) : RefusalWords.gone(context.operation)
                }
            return Made(
                landed: failed(words, .toolError, ruling, intent, context),
                wasSent: false,
                isGivenUp: isGivenUp
            )
        case .unknown(let failure):
            parts.say("\(ruling.tool): \(cutter.cut(failure.message))")
            station.learned(failure)
            let outcome: Decision.Outcome = failure.kind == .timedOut ? .timeout : .unknown
            close(context, ruling, intent, outcome)
            let isGivenUp = failure.kind == .cancelled
            let words =
                isGivenUp
                ? RefusalWords.givenUp(context.operation, isStopping: isClosed)
                : RefusalWords.unknown(context.operation, onlyReads: ruling.onlyReads)
            return Made(
                landed: failed(words, outcome, ruling, intent, context),
                wasSent: true,
                isGivenUp: isGivenUp
            )
        }
    }

    /// What is told of a call whose end is on record already.
    private func failed(
        _ refusal: Refusal,
        _ outcome: Decision.Outcome,
        _ ruling: Ruling,
        _ intent: Int64?,
        _ context: CallContext
    ) -> Landed {
        write(
            context,
            reason: refusal.reason,
            wouldRefuse: ruling.wouldRefuse?.reason,
            error: refusal.reason == .unavailable ? "unavailable" : "timeout"
        )
        return Landed(refusal.result(decision: intent), intent, ruling, outcome)
    }

    func answer(
        _ result: JSONValue,
        _ ruling: Ruling,
        _ cutter: SecretCutter,
        _ intent: Int64?,
        _ context: CallContext,
        isLate: Bool = false
    ) -> Landed {
        let schemas = ruling.granted.all.compactMap(\.output)
        let passed = ResultCheck(strictness: parts.output, cutter: cutter)
            .check(result, schemas: schemas) { try ruling.misfit($0) }
        if let note = passed.note { parts.say("\(context.operation): \(note)") }
        if !passed.isError { remember(ruling, context) }
        var members = passed.result
        if let intent { members["_meta"] = ["dev.ensign/decision": .integer(intent)] }
        let answer = JSONValue.object(members)
        let outcome: Decision.Outcome = passed.isError ? .toolError : .ok
        close(
            context,
            ruling,
            intent,
            outcome,
            bytes: answer.canonicalBytes().count,
            note: isLate ? (["it came late"] + [passed.note].compactMap { $0 }).joined(separator: "; ") : passed.note
        )
        // A late one has its span already.
        if !isLate {
            write(context, wouldRefuse: ruling.wouldRefuse?.reason, error: passed.isError ? "tool_error" : nil)
        }
        return Landed(answer, intent, ruling, outcome)
    }

    /// Notes a success, where another operation must come after it.
    private func remember(_ ruling: Ruling, _ context: CallContext) {
        let conditions = [ruling.present, ruling.run].flatMap(\.conditions)
            .filter { $0.tool == ruling.tool && $0.operation == ruling.name }
        guard !conditions.isEmpty else { return }
        var entry = context.counting
        entry.operation = "\(ruling.tool).\(ruling.name)"
        do { try parts.runs.succeeded(entry, names: Set(conditions.compactMap(\.same))) } catch {
            parts.say("runs cannot be written: \(error)")
        }
    }

    /// How long a call has taken so far.
    func milliseconds(_ context: CallContext) -> Double { Double((parts.clock() - context.start) / 10_000) / 100 }

    /// Writes down what came of an intent, with its verdict.
    func close(
        _ context: CallContext,
        _ ruling: Ruling,
        _ intent: Int64?,
        _ outcome: Decision.Outcome,
        bytes: Int? = nil,
        note: String? = nil
    ) {
        var decision = context.decision(.outcome)
        decision.verdict = ruling.verdict
        decision.intent = intent
        decision.outcome = outcome
        decision.bytes = bytes
        decision.milliseconds = milliseconds(context)
        if let note { decision.note = note }
        do throws(RecordFailure) { _ = try parts.record.append(decision) } catch {
            // It is written as soon as that is possible. If the gateway ends before, its call is unknown at the next start.
            parts.say("an outcome cannot be recorded: \(error.message)")
        }
    }
}

extension UpstreamFailure {
    /// For the log, of a call that was not made.
    var note: String {
        switch kind {
        case .unauthorized, .answered, .forgotten: "the server did not take it"
        default: "nothing was sent"
        }
    }
}
