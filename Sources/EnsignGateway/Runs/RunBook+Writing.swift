import EnsignModel
import EnsignPolicy

extension RunBook {
    /// What is written down of a call.
    struct Writing {
        var fate: Fate
        var call: Mark
        var run: Mark
        /// Nil for a run that has begun.
        var beginning: Beginning?

        var isRefused: Bool { [.refused, .turnedAway, .over].contains(fate) }

        /// - Returns: Whether the rates of its operation count it.
        func first(_ now: Int64, _ desk: inout RunDesk.Contents, _ turn: inout EventFile.Turn) throws -> Bool {
            if fate == .turnedAway || fate == .over {
                desk.write(.turnedAway(call), at: now, &turn)
                if fate == .over, desk.agent.isOpen(run, at: now) { desk.write(.over(run: run), at: now, &turn) }
                if beginning == nil { try desk.write([.call(call, isRefused: true)], to: run, at: now) }
                return fate == .over
            }
            var events = [RunEvent.call(call, isRefused: isRefused)]
            if let beginning {
                events.insert(.began(beginning.bundle, key: beginning.key), at: 0)
                desk.write(.began(run: run), at: now, &turn)
            }
            try desk.write(events, to: run, at: now)
            desk.write(.call(call, run: run, isRefused: isRefused), at: now, &turn)
            return true
        }

        /// Of a call for which people were asked before: it is counted already, by all but the operator's rate.
        ///
        /// - Returns: Whether the rates of its operation count it once more: what was asked for longer ago than their period
        ///   takes a place in the next one, or several would be made at once.
        func again(
            _ earlier: Earlier,
            _ rates: Set<CallRate.Period>,
            _ now: Int64,
            _ desk: inout RunDesk.Contents,
            _ turn: inout EventFile.Turn
        ) throws -> Bool {
            try desk.write([.total(steps: 0, refusals: isRefused ? 1 : 0)], to: run, at: now)
            if fate == .turnedAway {
                desk.write(.turnedAway(call), at: now, &turn)
            } else {
                desk.write(.repeated(run: run, isRefused: isRefused), at: now, &turn)
            }
            let isRated = !isRefused && rates.contains { !earlier.asked.isWithin($0, at: now) }
            if fate == .made {
                desk.write(.settled(earlier.question), at: now, &turn)
            } else if isRated {
                var asked = earlier.asked
                asked.rated = now
                desk.write(.asked(earlier.question, asked), at: now, &turn)
            }
            return isRated
        }
    }
}

extension RunProgress {
    /// Takes out what a call has counted itself when it came first. Then it was in time and had its place in the run and in the
    /// period of its rate: nothing that came after it takes that away.
    mutating func forget(_ asked: AgentState.Asked, of run: RunState, at now: Int64) {
        func less(_ count: Int64) -> Int64 { max(0, count - 1) }
        steps = 0
        sameCalls = less(sameCalls)
        milliseconds = max(0, min(milliseconds, asked.since - run.began))
        if asked.since > now - 60_000 { sameCallsInMinute = less(sameCallsInMinute) }
        guard calls.keys.allSatisfy({ asked.isWithin($0, at: now) }) else { return }
        calls = calls.mapValues { _ in 0 }
    }
}
