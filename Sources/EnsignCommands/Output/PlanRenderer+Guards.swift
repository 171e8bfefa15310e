import EnsignCommandLine
import EnsignModel
import EnsignPlanner

extension PlanRenderer {
    /// Guards come before agents: they hold for agents that are not mentioned otherwise.
    var guards: String {
        var text = ""
        for (direction, lines) in guardLines {
            text += "\n  guards \(guardTitle(direction))  [\(direction.kind.rawValue)]\n"
            let (mark, style): (String, Console.Style) =
                switch direction {
                case .loosened: ("+", .yellow)
                case .tightened: ("-", .green)
                case .changed: ("~", .dim)
                }
            for line in lines { text += "      \(paint("\(mark) \(line.onOneLine)", style))\n" }
        }
        // Rules that guard agents have said it themselves.
        if plan.guards.isEmpty, let rules = plan.rules?.rules {
            text += "\n  ~ rules of the environment  \(rules.names.joined(separator: ", "))\n"
        }
        if let policy = plan.policy, plan.isEmpty, plan.guards.isEmpty, plan.rules == nil {
            text += "\n  ~ \(LivePath.policy)  who may agree, limits and prices  [\(policy.kind.rawValue)]\n"
        }
        return text
    }

    /// At most ``limit`` lines for each direction, each direction that there is, loosenings first.
    var guardLines: [(direction: GuardChange.Direction, lines: [String])] {
        GuardChange.Direction.allCases.compactMap { direction in
            let all = plan.guards.filter { $0.direction == direction }
            let more = all.count - limit
            let rest = more > 0 ? ["... and \(more) more: 'ensign plan --env \(plan.environment)' shows them all"] : []
            return all.isEmpty ? nil : (direction, all.prefix(limit).map(\.sentence) + rest)
        }
    }

    /// `2 guards loosened`, one for each direction that there is.
    var guardCounts: [String] {
        GuardChange.Direction.allCases.compactMap { direction in
            let count = plan.guards.count { $0.direction == direction }
            return count == 0 ? nil : "\(counted(count, "guard")) \(direction.rawValue)"
        }
    }

    /// A comparison of two sides is not a plan: nothing happens.
    func guardTitle(_ direction: GuardChange.Direction) -> String {
        title == nil ? "\(direction.rawValue), at once" : direction.rawValue
    }
}
