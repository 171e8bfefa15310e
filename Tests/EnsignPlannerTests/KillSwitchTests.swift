import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignPlanner

extension KillSwitch {
    /// Read long after it happened.
    mutating func observe(
        _ activity: Activity,
        rules: [KillRule],
        isGranted: (AgentID, Digest?, String) -> Bool?
    ) -> Trip? {
        observe(activity, rules: rules, now: Moment(nanoseconds: .max), isGranted: isGranted)
    }
}

@Suite("Kill switch")
struct KillSwitchTests {
    private static let desk = AgentID(team: "support", name: "desk")
    private static let clerk = AgentID(team: "support", name: "clerk")

    private func at(_ seconds: Double) -> Moment {
        Moment(nanoseconds: 1_790_000_000_000_000_000 + Int64(seconds * 1e9))
    }

    private func span(_ text: String) -> TimeSpan {
        guard let span = TimeSpan(text) else { preconditionFailure("\(text) is not a duration") }
        return span
    }

    private func call(
        _ seconds: Double,
        tool: String = "crm__lookup",
        arguments: UInt64? = 1,
        isDenied: Bool = false,
        agent: AgentID = desk
    ) -> Activity {
        Activity(
            agent: agent,
            bundle: nil,
            kind: .call(ToolCall(tool: tool, arguments: arguments, isDenied: isDenied)),
            time: at(seconds)
        )
    }

    private func spent(_ dollars: Double, _ seconds: Double, agent: AgentID = desk) -> Activity {
        Activity(agent: agent, bundle: nil, kind: .spent(dollars), time: at(seconds))
    }

    /// The trips of some activities, one after the other.
    private func trips(_ rules: [KillRule], _ activities: [Activity]) -> [KillSwitch.Trip] {
        var killSwitch = KillSwitch()
        return activities.compactMap { killSwitch.observe($0, rules: rules, isGranted: Self.isGranted) }
    }

    private static func isGranted(_ agent: AgentID, _ bundle: Digest?, _ tool: String) -> Bool? {
        tool == "mystery" ? nil : tool.hasPrefix("crm")
    }

    @Test("What an agent called before it was quiet for longer than any window is forgotten with its next call")
    func quiet() {
        var killSwitch = KillSwitch()
        let rules = [KillRule.repeatedCall(3, within: span("1m"))]
        for day in 0..<50 {
            for index in 0..<3 {
                let call = call(Double(day) * 86_400 + Double(index), arguments: UInt64(day * 3 + index))
                #expect(killSwitch.observe(call, rules: rules, isGranted: Self.isGranted) == nil)
            }
        }
        #expect(killSwitch.kept == 3)
        // What is still in the window counts, also across a line that comes late.
        #expect(trips(rules, [call(0), call(50), call(10)]).map(\.observed) == [3])
    }

    @Test("Spending trips when the amount is reached, and not a cent before")
    func spend() {
        let rule = KillRule.spend(25, within: span("5m"))
        #expect(trips([rule], [spent(24.99, 0)]).isEmpty)
        let reached = trips([rule], [spent(12.5, 0), spent(12.5, 300)])
        #expect(reached.map(\.observed) == [25])
        #expect(reached.map(\.sentence) == ["support/desk spent 25.00 USD within 5m; the limit is 25.00 USD"])
        #expect(trips([rule], [spent(12.5, 0), spent(12.5, 300.001)]).isEmpty, "a window has both its ends")
        #expect(trips([rule], [spent(12.5, 0), spent(12.5, 1, agent: Self.clerk)]).isEmpty, "each agent for itself")
        for bad in [Double.nan, -.infinity, .infinity, -30] { #expect(trips([rule], [spent(bad, 0)]).isEmpty) }
    }

    @Test("Activities that come late are judged at their own time")
    func outOfOrder() {
        let rule = KillRule.spend(25, within: span("5m"))
        #expect(trips([rule], [spent(10, 0), spent(10, 250), spent(5, 100)]).map(\.observed) == [25])
        // An hour that is read at once is the hour that it was.
        #expect(trips([rule], (0..<12).map { spent(10, Double($0) * 301) }).isEmpty)
    }

    @Test("The same call with the same arguments trips at its number")
    func repeated() {
        let rule = KillRule.repeatedCall(20, within: span("1m"))
        let calls = (0..<20).map { call(Double($0) * 3) }
        #expect(trips([rule], Array(calls.dropLast())).isEmpty)
        #expect(
            trips([rule], calls).map(\.sentence)
                == ["support/desk called 'crm__lookup' 20 times with the same arguments within 1m; the limit is 20"]
        )
        #expect(trips([rule], (0..<20).map { call(Double($0) * 3.2) }).isEmpty, "too slow")
        #expect(trips([rule], (0..<40).map { call(0, arguments: UInt64($0 % 3)) }).isEmpty, "other arguments")
        #expect(trips([rule], (0..<40).map { call(0, tool: "t\($0 % 3)") }).isEmpty, "other tools")
        #expect(trips([rule], (0..<40).map { _ in call(0, arguments: nil) }).isEmpty, "arguments that nobody recorded")
    }

    @Test("A tool's name in a sentence is cut and safe to print, whatever telemetry calls it")
    func hostileNames() throws {
        for name in [Hostile.unsafeText, Hostile.letter, String(repeating: "\u{202E}", count: 10_000)] {
            let sentence = try #require(trips([.unknownTool(1)], [call(1, tool: name)]).first?.sentence)
            #expect(!sentence.unicodeScalars.contains(where: DisplayText.isUnsafe))
            #expect(sentence.utf8.count < 200)
        }
    }

    @Test("Denied calls, steps and unknown tools trip at their numbers")
    func counts() {
        let denied = KillRule.deniedCalls(5, within: span("1m"))
        #expect(trips([denied], (0..<4).map { call(Double($0), isDenied: true) } + [call(5)]).isEmpty)
        #expect(trips([denied], (0..<5).map { call(Double($0), isDenied: true) }).map(\.observed) == [5])

        let steps = [49, 50, 51].map { Activity(agent: Self.desk, bundle: nil, kind: .steps($0), time: at(0)) }
        #expect(
            trips([.steps(50)], steps).map(\.sentence) == ["support/desk made 50 calls in one run; the limit is 50"]
        )
        #expect(trips([.steps(50)], [steps[0]]).isEmpty)

        let shell = call(1, tool: "shell\u{1B}[31m")
        #expect(
            trips([.unknownTool(1)], [shell]).map(\.sentence)
                == ["support/desk called 'shell\\u{1b}[31m', which it was not granted; the limit is 1"]
        )
        #expect(trips([.unknownTool(2)], [shell]).isEmpty)
        #expect(trips([.unknownTool(2)], [shell, call(3_600, tool: "shell")]).count == 1)
        #expect(trips([.unknownTool(2)], [shell, call(86_402, tool: "shell")]).isEmpty, "not within a day")
        #expect(trips([.unknownTool(1)], [call(1), call(2, tool: "mystery")]).isEmpty)
    }

    @Test("An agent trips once until it is resumed, and then begins anew")
    func reset() {
        let rule = KillRule.deniedCalls(2, within: span("1h"))
        var killSwitch = KillSwitch()
        func observe(_ activity: Activity) -> Bool {
            killSwitch.observe(activity, rules: [rule], isGranted: Self.isGranted) != nil
        }
        #expect(!observe(call(0, isDenied: true)))
        #expect(observe(call(1, isDenied: true)))
        #expect(!observe(call(2, isDenied: true)), "halted already")
        killSwitch.reset(Self.desk, at: at(10))
        #expect(!observe(call(9, isDenied: true)), "from before")
        #expect(!observe(call(11, isDenied: true)))
        #expect(observe(call(12, isDenied: true)))
    }

    @Test("The first rule that is broken is the one that is named, whatever else is")
    func severalRules() {
        let rules: [KillRule] = [.steps(50), .deniedCalls(1, within: span("1m")), .repeatedCall(1, within: span("1m"))]
        #expect(trips(rules, [call(0, isDenied: true)]).map(\.rule) == [rules[1]])
        #expect(trips([], [call(0, isDenied: true), spent(1e9, 0)]).isEmpty)
    }

    @Test("The state survives as JSON at any point")
    func persistence() throws {
        var random = SeededGenerator(for: "kill switch state", standard: 3)
        let rules: [KillRule] = [
            .spend(40, within: span("1m")), .repeatedCall(6, within: span("1m")), .deniedCalls(4, within: span("30s")),
            .unknownTool(3),
        ]
        for _ in 0..<20 {
            var plain = KillSwitch()
            var restarted = KillSwitch()
            for step in 0..<200 {
                let time = Double(step) + Double(random.int(-20...20))
                let who = random.pick([Self.desk, Self.clerk])
                let activity =
                    random.once(in: 3)
                    ? spent(Double(random.int(0...5)), time, agent: who)
                    : call(
                        time,
                        tool: random.once(in: 60) ? "shell" : "crm",
                        arguments: UInt64(random.int(0...9)),
                        isDenied: random.once(in: 12),
                        agent: who
                    )
                let expected = plain.observe(activity, rules: rules, isGranted: Self.isGranted)
                #expect(restarted.observe(activity, rules: rules, isGranted: Self.isGranted) == expected)
                restarted = try #require(KillSwitch(json: restarted.json))
            }
        }
        #expect(KillSwitch(json: ["v": 9, "agents": []]) == nil)
    }

    @Test("Windows agree with counting everything anew")
    func bruteForce() {
        var random = SeededGenerator(for: "kill switch windows", standard: 4)
        for _ in 0..<100 {
            let window = Int64(random.int(1...20)) * 1_000
            var times = TimeWindow()
            var amounts = AmountWindow()
            var all: [(time: Int64, amount: Double)] = []
            for _ in 0..<30 {
                let time = at(Double(random.int(0...40)))
                let amount = Double(random.int(1...4))
                all.append((time.nanoseconds, amount))
                times.add(time, within: 1_000_000, keeping: 1_000)
                amounts.add(amount, at: time, keeping: 1_000_000, most: 1_000)
                var count: Int64 = 0
                var sum = 0.0
                for end in all.map(\.time) where end >= time.nanoseconds && end - window * 1_000_000 <= time.nanoseconds
                {
                    let inside = all.filter { $0.time <= end && $0.time >= end - window * 1_000_000 }
                    count = max(count, Int64(inside.count))
                    sum = max(sum, inside.reduce(0) { $0 + $1.amount })
                }
                #expect(times.most(around: time, within: window) == count)
                #expect(amounts.most(around: time, within: window) == sum)
            }
        }
    }

    @Test("Files of two times that are read in turn are judged as if each were read alone")
    func inTurn() throws {
        var random = SeededGenerator(for: "kill switch windows in turn", standard: 4)
        for _ in 0..<100 {
            let (window, most) = (Int64(random.int(1...20)) * 1_000, random.int(1...5))
            var times = TimeWindow()
            var amounts = AmountWindow()
            // The log, and the one that it was rotated from.
            var clocks = [0.0, 1_000.0]
            var all: [(time: Int64, amount: Double)] = []
            for number in 0..<60 {
                let file = number == 0 ? 1 : random.int(0...1)
                clocks[file] += Double(random.int(0...4))
                let time = at(clocks[file])
                let amount = Double(random.int(1...4))
                all.append((time.nanoseconds, amount))
                times.add(time, within: window, keeping: most)
                amounts.add(amount, at: time, keeping: window, most: 1_000)
                let inside = all.filter {
                    $0.time <= time.nanoseconds && $0.time >= time.nanoseconds - window * 1_000_000
                }
                let count = times.most(around: time, within: window)
                let sum = inside.reduce(0) { $0 + $1.amount }
                let isRight = (count >= most) == (inside.count >= most) && times.count <= 2 * most
                try #require(
                    isRight && amounts.most(around: time, within: window) == sum,
                    "\(all) \(window) \(most) \(amounts)"
                )
            }
        }
    }

    @Test("What came late is remembered over a restart, beside the newest")
    func lateOverRestart() {
        let rules: [KillRule] = [.spend(10, within: span("1m"))]
        var killSwitch = KillSwitch()
        func observe(_ activity: Activity) -> KillSwitch.Trip? {
            defer { killSwitch = KillSwitch(json: killSwitch.json) ?? KillSwitch() }
            return killSwitch.observe(activity, rules: rules, isGranted: Self.isGranted)
        }
        #expect(observe(spent(1, 1_000)) == nil)
        #expect(observe(spent(6, 100)) == nil)
        #expect(observe(spent(1, 1_001)) == nil)
        #expect(observe(spent(6, 110))?.observed == 12)
    }

    @Test("A reset that a clock which was ahead has written hides nothing once the clock is right")
    func resetAhead() {
        var killSwitch = KillSwitch()
        let rules: [KillRule] = [.deniedCalls(2, within: span("1m"))]
        func observe(_ seconds: Double, now: Double) -> KillSwitch.Trip? {
            killSwitch.observe(call(seconds, isDenied: true), rules: rules, now: at(now), isGranted: Self.isGranted)
        }
        killSwitch.reset(Self.desk, at: at(1.999))
        #expect(observe(1, now: 1) == nil && observe(1, now: 1) == nil)
        killSwitch.reset(Self.desk, at: at(86_400))
        #expect(observe(2, now: 3) == nil)
        #expect(observe(3, now: 3)?.observed == 2)
    }

    @Test("Many agents and many kinds of calls take bounded room")
    func bounds() {
        var limits = KillSwitch.Limits()
        (limits.distinctCalls, limits.amounts, limits.total) = (16, 32, 500)
        var killSwitch = KillSwitch(limits: limits)
        let rules: [KillRule] = [.repeatedCall(5, within: span("1h")), .spend(1e6, within: span("1h"))]
        for number in 0..<3_000 {
            let agent = AgentID(team: "t", name: "a\(number % 50)")
            for activity in [
                call(Double(number), arguments: UInt64(number), agent: agent), spent(1, Double(number), agent: agent),
            ] {
                #expect(killSwitch.observe(activity, rules: rules, isGranted: Self.isGranted) == nil)
            }
            #expect(killSwitch.kept <= 500)
            #expect(killSwitch.kept == killSwitch.agents.values.reduce(0) { $0 + $1.kept })
        }
        // Amounts that were put together are still in the sum.
        var one = KillSwitch(limits: limits)
        var trip: KillSwitch.Trip?
        for number in 0..<1_000 where trip == nil {
            trip = one.observe(
                spent(1, Double(number)),
                rules: [.spend(400, within: span("1h"))],
                isGranted: Self.isGranted
            )
        }
        #expect(trip?.time == at(399))
    }

    @Test("Two spellings of one operation are the same call")
    func meanings() {
        let rule = KillRule.repeatedCall(4, within: span("1m"))
        let calls = ["lookup", "crm.lookup", "crm__lookup", "LOOKUP"].map { name -> Activity in
            var call = ToolCall(tool: name, arguments: 1, isDenied: false)
            call.meaning = "crm.lookup"
            return Activity(agent: Self.desk, bundle: nil, kind: .call(call), time: at(0))
        }
        #expect(trips([rule], calls).map(\.observed) == [4])
    }

    @Test("Another name of a call that is judged by its own is not held against what was granted")
    func otherNames() {
        var call = ToolCall(tool: "shell", arguments: nil, isDenied: true)
        call.isNamed = false
        let activity = Activity(agent: Self.desk, bundle: nil, kind: .call(call), time: at(0))
        #expect(trips([.unknownTool(1)], [activity]).isEmpty)
        #expect(trips([.deniedCalls(1, within: span("1m"))], [activity]).count == 1)
    }
}
