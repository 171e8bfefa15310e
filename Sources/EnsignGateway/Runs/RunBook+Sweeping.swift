import EnsignModel
import EnsignSystem
import Synchronization

extension RunBook {
    /// Where a look at the files of all runs has come to.
    struct Sweep: Sendable {
        /// Agents that are still to be looked at.
        var agents: [AgentID] = []
        /// Files of the last of them that are still to be looked at; nil before they were listed.
        var names: [String]?
        /// When the next look begins, in milliseconds since 1970.
        var next: Int64 = .min
    }

    /// From the beginning of one look at everything to the next one, in milliseconds.
    private static let pause: Int64 = 3_600_000

    /// Removes files of runs that are forgotten, some of them each time: goes on where it was the last time.
    ///
    /// - Parameter most: Files that are looked at.
    package func sweep(most: Int = 1_000) {
        let now = clock()
        sweeping.withLock { sweep in
            if sweep.agents.isEmpty {
                // A clock that was ahead holds up nothing.
                guard now >= sweep.next || sweep.next > now.adding(saturating: Self.pause) else { return }
                sweep = Sweep(agents: agents, next: now.adding(saturating: Self.pause))
            }
            var left = most
            while left > 0, let agent = sweep.agents.last {
                let names = sweep.names ?? names(in: "\(folder)/\(agent)").filter { $0.hasPrefix("run-") }
                let some = names.suffix(left)
                forget(some, of: agent, now)
                left -= some.count + 1
                sweep.names = names.dropLast(some.count)
                guard some.count == names.count else { continue }
                sweep.names = nil
                sweep.agents.removeLast()
            }
        }
    }

    private var agents: [AgentID] {
        names(in: folder).flatMap { team in
            names(in: "\(folder)/\(team)").compactMap { AgentID("\(team)/\($0)") }
        }
    }

    private func names(in folder: String) -> [String] { ((try? Files.list(folder)) ?? nil) ?? [] }

    private func forget(_ names: some Sequence<String>, of agent: AgentID, _ now: Int64) {
        let place = "\(folder)/\(agent)"
        let old = names.compactMap { name -> Mark? in
            guard let status = try? Files.status("\(place)/\(name)"),
                status.modified / 1_000_000 <= now.subtracting(saturating: RunState.kept)
            else { return nil }
            return Mark(name.dropFirst("run-".count))
        }
        guard !old.isEmpty else { return }
        // Takes nobody's place among those whose files are open.
        let desk = desks.withLock { $0[agent] } ?? RunDesk(place, keepsOpen: false)
        // What cannot be removed now is met again.
        try? desk.access { (desk, _) in
            for run in old {
                try desk.look(at: run, now)
                if desk.asked(run, { $0 == nil }) { desk.forget(run) }
            }
        }
    }
}
