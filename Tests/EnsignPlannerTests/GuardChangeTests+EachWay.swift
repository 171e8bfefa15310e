import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Testing

/// Each loosening there is, and the way back.
extension GuardChangeTests {
    /// Two states of an environment: the second is looser. The words are those of the way there, and of the way back.
    struct Pair: Sendable, CustomTestStringConvertible {
        var what: String
        var tight: @Sendable (inout Environment) -> Void
        var loose: @Sendable (inout Environment) -> Void
        var there: String
        var back: String
        /// What the way back is: mostly tighter.
        var isBackTighter = true
        var testDescription: String { "\(what): \(there)" }
    }

    static func rules(_ rules: KillRule...) -> @Sendable (inout Environment) -> Void {
        { $0.killSwitch = rules }
    }

    static func rollout(_ rollout: Rollout?) -> @Sendable (inout Environment) -> Void {
        { $0.rollout = rollout }
    }

    static let killRules: [Pair] = [
        Pair(
            what: "killSwitch.spend",
            tight: rules(.spend(25, within: span("5m"))),
            loose: rules(),
            there: "the halt at 25 USD within 5m is gone",
            back: "a halt at 25 USD within 5m is new"
        ),
        Pair(
            what: "killSwitch.spend",
            tight: rules(.spend(25, within: span("5m"))),
            loose: rules(.spend(50, within: span("5m"))),
            there: "the halt at 25 USD within 5m is now at 50 USD within 5m",
            back: "the halt at 50 USD within 5m is now at 25 USD within 5m"
        ),
        Pair(
            what: "killSwitch.spend",
            tight: rules(.spend(25, within: span("5m"))),
            loose: rules(.spend(25, within: span("1m"))),
            there: "the halt at 25 USD within 5m is now at 25 USD within 1m",
            back: "the halt at 25 USD within 1m is now at 25 USD within 5m"
        ),
        Pair(
            what: "killSwitch.deniedCalls",
            tight: rules(.deniedCalls(5, within: span("1m"))),
            loose: rules(.deniedCalls(6, within: span("1m"))),
            there: "the halt at 5 denied calls within 1m is now at 6 denied calls within 1m",
            back: "the halt at 6 denied calls within 1m is now at 5 denied calls within 1m"
        ),
        Pair(
            what: "killSwitch.deniedCalls",
            tight: rules(.deniedCalls(5, within: span("1m"))),
            // More calls in a longer window: whether that is looser cannot be said.
            loose: rules(.deniedCalls(6, within: span("2m"))),
            there: "the halt at 5 denied calls within 1m is now at 6 denied calls within 2m",
            back: "the halt at 6 denied calls within 2m is now at 5 denied calls within 1m",
            isBackTighter: false
        ),
        Pair(
            what: "killSwitch.repeatedCall",
            tight: rules(.repeatedCall(1, within: span("1m"))),
            loose: rules(),
            there: "the halt at 1 equal call within 1m is gone",
            back: "a halt at 1 equal call within 1m is new"
        ),
        Pair(
            what: "killSwitch.steps",
            tight: rules(.steps(50)),
            loose: rules(.steps(60)),
            there: "the halt at 50 calls in one run is now at 60 calls in one run",
            back: "the halt at 60 calls in one run is now at 50 calls in one run"
        ),
        Pair(
            what: "killSwitch.unknownTool",
            tight: rules(.unknownTool(1)),
            loose: rules(.unknownTool(2)),
            there:
                "the halt at 1 call of a tool that was not granted is now at 2 calls of tools that were not granted",
            back: "the halt at 2 calls of tools that were not granted is now at 1 call of a tool that was not granted"
        ),
    ]

    static let rollouts: [Pair] = [
        Pair(
            what: "rollout",
            tight: rollout(judged()),
            loose: rollout(nil),
            there: "its canary is gone: every change goes to all sessions at once, and nothing judges it",
            back: "changes go through a canary: 5 % for 10m, 50 % for 1h"
        ),
        Pair(
            what: "rollout",
            tight: rollout(canary()),
            loose: rollout(.immediate),
            there: "its canary is gone: every change goes to all sessions at once",
            back: "changes go through a canary: 5 % for 10m, 50 % for 1h"
        ),
        Pair(
            what: "rollout.canary.steps",
            tight: rollout(canary()),
            loose: rollout(canary([(6, "10m"), (50, "1h")])),
            there: "the canary's steps are 6 % for 10m, 50 % for 1h (were 5 % for 10m, 50 % for 1h)",
            back: "the canary's steps are 5 % for 10m, 50 % for 1h (were 6 % for 10m, 50 % for 1h)"
        ),
        Pair(
            what: "rollout.canary.steps",
            tight: rollout(canary()),
            loose: rollout(canary([(5, "9m"), (50, "1h")])),
            there: "the canary's steps are 5 % for 9m, 50 % for 1h (were 5 % for 10m, 50 % for 1h)",
            back: "the canary's steps are 5 % for 10m, 50 % for 1h (were 5 % for 9m, 50 % for 1h)"
        ),
        Pair(
            // A step less is over sooner.
            what: "rollout.canary.steps",
            tight: rollout(canary()),
            loose: rollout(canary([(5, "10m")])),
            there: "the canary's steps are 5 % for 10m (were 5 % for 10m, 50 % for 1h)",
            back: "the canary's steps are 5 % for 10m, 50 % for 1h (were 5 % for 10m)"
        ),
        Pair(
            // More at first and less later: looser at some time is looser.
            what: "rollout.canary.steps",
            tight: rollout(canary()),
            loose: rollout(canary([(10, "2h")])),
            there: "the canary's steps are 10 % for 2h (were 5 % for 10m, 50 % for 1h)",
            back: "the canary's steps are 5 % for 10m, 50 % for 1h (were 10 % for 2h)",
            isBackTighter: false
        ),
        Pair(
            what: "rollout.canary.analysis",
            tight: rollout(judged()),
            loose: rollout(canary()),
            there: "nothing judges its canary from now on",
            back: "its canary is judged by success, cost"
        ),
        Pair(
            what: "rollout.canary.analysis.metrics.cost",
            tight: rollout(judged()),
            loose: rollout(judged { $0.metrics.removeLast() }),
            there: "its canary is no longer judged by cost",
            back: "its canary is judged by cost too"
        ),
        Pair(
            what: "rollout.canary.analysis.metrics.cost.margin",
            tight: rollout(judged()),
            loose: rollout(judged { $0.metrics[1].margin = .relative(0.25) }),
            there: "the margin of cost is 25 % (was 20 %)",
            back: "the margin of cost is 20 % (was 25 %)"
        ),
        Pair(
            what: "rollout.canary.analysis.metrics.cost.margin",
            tight: rollout(judged()),
            loose: rollout(judged { $0.metrics[1].margin = .absolute(0.01) }),
            there: "the margin of cost is 0.01 (was 20 %)",
            back: "the margin of cost is 20 % (was 0.01)",
            isBackTighter: false
        ),
        Pair(
            what: "rollout.canary.analysis.metrics.cost",
            tight: rollout(judged()),
            loose: rollout(judged { $0.metrics[1].good = false }),
            there: "cost is judged in another way: rate, a high one is bad (was rate, a high one is good)",
            back: "cost is judged in another way: rate, a high one is good (was rate, a high one is bad)",
            isBackTighter: false
        ),
        Pair(
            what: "rollout.canary.analysis.metrics.cost.query",
            tight: rollout(judged()),
            loose: rollout(judged { $0.metrics[1].query = PrometheusQuery(text: "up", step: span("1m")) }),
            there: "cost asks something else",
            back: "cost asks something else",
            isBackTighter: false
        ),
        Pair(
            what: "rollout.canary.analysis.confidence",
            tight: rollout(judged()),
            loose: rollout(judged { $0.confidence = 0.9 }),
            there: "the confidence of its analysis is 0.9 (was 0.95): a pass takes less evidence",
            back: "the confidence of its analysis is 0.95 (was 0.9): a failure takes more evidence",
            isBackTighter: false
        ),
        Pair(
            what: "rollout.canary.analysis.deadline",
            tight: rollout(judged()),
            loose: rollout(judged { $0.deadline = nil }),
            there: "the deadline of its analysis is none (was 24h)",
            back: "the deadline of its analysis is 24h (was none)"
        ),
        Pair(
            what: "rollout.canary.analysis.deadline",
            tight: rollout(judged { $0.onInconclusive = .promote }),
            loose: rollout(
                judged {
                    $0.onInconclusive = .promote
                    $0.deadline = span("1h")
                }
            ),
            there: "the deadline of its analysis is 1h (was 24h)",
            back: "the deadline of its analysis is 24h (was 1h)"
        ),
        Pair(
            what: "rollout.canary.analysis.onInconclusive",
            tight: rollout(judged()),
            loose: rollout(judged { $0.onInconclusive = .promote }),
            there: "without a verdict by the deadline its canary is completed (waits for a person before)",
            back: "without a verdict by the deadline its canary waits for a person (is completed before)"
        ),
        Pair(
            what: "rollout.canary.analysis.onInconclusive",
            tight: rollout(judged { $0.onInconclusive = .abort }),
            loose: rollout(judged()),
            there: "without a verdict by the deadline its canary waits for a person (is taken back before)",
            back: "without a verdict by the deadline its canary is taken back (waits for a person before)"
        ),
        Pair(
            what: "rollout.canary.analysis.metrics.cost.guard",
            tight: rollout(judged { $0.metrics[1].guarding = .halt }),
            loose: rollout(judged { $0.metrics[1].guarding = .report }),
            there: "it is no longer halted when the stable version's cost drifts: that is told",
            back: "it is halted when the stable version's cost drifts"
        ),
        Pair(
            what: "rollout.canary.analysis.metrics.cost.guard",
            tight: rollout(judged { $0.metrics[1].guarding = .report }),
            loose: rollout(judged()),
            there: "nothing watches any more whether the stable version's cost drifts",
            back: "when the stable version's cost drifts, that is told"
        ),
    ]

    static let settings: [Pair] = [
        Pair(
            what: "limits.costUSDPerDay",
            tight: { $0.costUSDPerDay = 40 },
            loose: { _ in },
            there: "the cost of all agents a day is no longer limited (was 40 USD)",
            back: "the cost of all agents a day is limited to 40 USD (was not limited)"
        ),
        Pair(
            what: "limits.costUSDPerDay",
            tight: { $0.costUSDPerDay = 40 },
            loose: { $0.costUSDPerDay = 40.5 },
            there: "the cost of all agents a day is limited to 40.5 USD (was 40 USD)",
            back: "the cost of all agents a day is limited to 40 USD (was 40.5 USD)"
        ),
        Pair(
            what: "limits.concurrentRollouts",
            tight: { $0.concurrentRollouts = 3 },
            loose: { $0.concurrentRollouts = 4 },
            there: "the number of canaries at the same time is limited to 4 (was 3)",
            back: "the number of canaries at the same time is limited to 3 (was 4)"
        ),
        Pair(
            what: "soak",
            tight: { $0.soak = span("24h") },
            loose: { $0.soak = span("1h") },
            there: "versions must have been stable for 1h before (was 24h)",
            back: "versions must have been stable for 24h before (was 1h)"
        ),
        Pair(
            what: "soak",
            tight: { $0.soak = span("24h") },
            loose: { _ in },
            there: "versions no longer have to have been stable for 24h before",
            back: "versions must have been stable for 24h before (was no time)"
        ),
        Pair(
            what: "promotesFrom",
            tight: { $0.promotesFrom = located("staging") },
            loose: { _ in },
            there: "versions no longer have to come from staging",
            back: "versions come from staging"
        ),
        Pair(
            what: "promotesFrom",
            tight: { $0.promotesFrom = located("staging") },
            loose: { $0.promotesFrom = located("dev") },
            there: "versions come from dev (was staging)",
            back: "versions come from staging (was dev)",
            isBackTighter: false
        ),
        Pair(
            what: "prune",
            tight: { _ in },
            loose: { $0.prune = false },
            there: "an agent that is no longer declared stays live: it was removed before",
            back: "an agent that is no longer declared is removed: it stayed before",
            isBackTighter: false
        ),
        Pair(
            what: "maxPruneShare",
            tight: { _ in },
            loose: { $0.maxPruneShare = 0.5 },
            there: "the share of agents that one commit may remove is 0.5 (was 0.3)",
            back: "the share of agents that one commit may remove is 0.3 (was 0.5)"
        ),
        Pair(
            what: "keepFor",
            tight: { _ in },
            loose: { $0.keepFor = span("1h") },
            there: "bundles stay for 1h after their last route (was 7d): so long a way back is open, without soak",
            back: "bundles stay for 7d after their last route (was 1h): so long a way back is open, without soak"
        ),
        Pair(
            what: "mutableVersions",
            tight: { _ in },
            loose: { $0.mutableVersions = true },
            there: "deployments may run 'next', which changes without a release",
            back: "deployments run released versions only"
        ),
    ]

    static func located(_ name: String) -> Located<String> { Located(name, at: .start) }

    @Test("Each loosening is said, and each way back", arguments: killRules + rollouts + settings)
    func eachWay(pair: Pair) {
        for (changes, text, isLooser) in [
            (Self.changes(pair.tight, pair.loose), pair.there, true),
            (Self.changes(pair.loose, pair.tight), pair.back, !pair.isBackTighter),
        ] {
            #expect(changes.map(\.what) == [pair.what])
            #expect(
                said(changes) == ["\(isLooser ? "loosened" : "tightened") every agent of prod (5): \(text)"]
            )
            #expect(changes.first?.direction.kind == (isLooser ? .widening : .narrowing))
        }
        #expect(Self.changes(pair.loose, pair.loose) == [])
    }

    @Test("What is written otherwise and means the same is not a change")
    func same() {
        #expect(Self.changes({ _ in }, Self.rollout(.immediate)) == [])
        #expect(Self.changes({ _ in }, { $0.soak = Self.span("0s") }) == [])
        #expect(
            Self.changes(
                Self.rules(.spend(25, within: Self.span("5m"))),
                Self.rules(.spend(25, within: Self.span("300s")))
            ) == []
        )
        let rules: [KillRule] = [.steps(5), .unknownTool(1)]
        #expect(Self.changes({ $0.killSwitch = rules }, { $0.killSwitch = rules.reversed() }) == [])
        #expect(Self.changes(Self.rollout(Self.judged()), Self.rollout(Self.judged { $0.metrics.reverse() })) == [])
        #expect(Self.changes(Self.rollout(Self.judged()), Self.rollout(Self.judged { $0.metrics[0].unit = "x" })) == [])
        #expect(
            Self.changes(
                Self.rollout(Self.canary([(5, "20m")])),
                Self.rollout(Self.canary([(5, "10m"), (5, "10m")]))
            ) == []
        )
    }

    @Test("A rule that is gone is not a loss where another one halts at least as early")
    func covered() {
        let minute = Self.span("1m")
        let (strict, lax) = (KillRule.deniedCalls(5, within: minute), KillRule.deniedCalls(10, within: minute))
        #expect(Self.changes(Self.rules(strict, lax), Self.rules(strict)) == [])
        #expect(Self.changes(Self.rules(strict), Self.rules(lax, strict)) == [])
        #expect(
            said(Self.changes(Self.rules(lax), Self.rules(strict, lax))) == [
                "tightened every agent of prod (5): a halt at 5 denied calls within 1m is new"
            ]
        )
        // A rule of another kind covers nothing.
        #expect(Self.changes(Self.rules(strict), Self.rules(.repeatedCall(1, within: minute))).count == 2)
    }

    @Test("Each rule that is gone stands by itself, and one that came for it is named once")
    func several() {
        let (five, hour) = (Self.span("5m"), Self.span("1h"))
        let old: [KillRule] = [.spend(100, within: hour), .spend(25, within: five)]
        #expect(
            said(Self.changes({ $0.killSwitch = old }, Self.rules(.spend(50, within: five)))) == [
                "loosened every agent of prod (5): the halt at 100 USD within 1h is gone",
                "loosened every agent of prod (5): the halt at 25 USD within 5m is now at 50 USD within 5m",
            ]
        )
    }

    @Test("Loosenings come first, and of them what stops agents")
    func order() {
        let changes = Self.changes(
            {
                $0.killSwitch = [.unknownTool(1)]
                $0.costUSDPerDay = 10
                $0.soak = Self.span("1h")
            },
            {
                $0.keepFor = Self.span("1h")
                $0.rollout = Self.canary()
                $0.costUSDPerDay = 5
            }
        )
        #expect(
            changes.map(\.what) == ["killSwitch.unknownTool", "keepFor", "soak", "rollout", "limits.costUSDPerDay"]
        )
        #expect(changes.map(\.direction) == [.loosened, .loosened, .loosened, .tightened, .tightened])
    }
}
