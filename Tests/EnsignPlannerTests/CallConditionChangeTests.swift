import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Testing

@Suite("Changes of what is asked of calls, in words and as authority")
struct CallConditionChangeTests {
    /// What a change of `crm.update` gains and loses, and what the way back does.
    private func change(
        _ was: (inout BundleOperation) -> Void,
        _ now: (inout BundleOperation) -> Void
    ) -> (gained: [String], lost: [String]) {
        func with(_ change: (inout BundleOperation) -> Void) -> Bundle {
            bundle { bundle in
                guard var operation = bundle.tools[0].operations["update"] else { return }
                change(&operation)
                bundle.tools[0].operations["update"] = operation
                if operation.approvers != nil { bundle.tools[0].owner = "crm-people" }
            }
        }
        let difference = AuthorityDifference(before: with(was), after: with(now))
        return (difference.gained, difference.lost)
    }

    @Test("A higher rate, and one that cannot be compared, gain; a lower one and a first one lose")
    func rates() {
        func set(_ text: String?) -> (inout BundleOperation) -> Void { { $0.rate = text.flatMap { CallRate($0) } } }
        #expect(
            change(set("10/m"), set("30/m")).gained == ["may call crm.update 30 times a minute (was 10 times a minute)"]
        )
        #expect(
            change(set("30/m"), set("10/m")).lost == ["may call crm.update 10 times a minute (was 30 times a minute)"]
        )
        #expect(change(set(nil), set("1/h")).lost == ["may call crm.update once an hour (was at any rate)"])
        #expect(change(set("1/h"), set(nil)).gained == ["may call crm.update at any rate (was once an hour)"])
        #expect(change(set("10/s"), set("100/h")).gained.count == 1, "100 in one second are new")
        #expect(change(set("100/h"), set("10/s")).gained.count == 1)
    }

    @Test("In another team other people agree where the grant names nobody: that is gained, and said with names")
    func team() {
        let (former, now) = (agent("support/triage"), "sales/triage")
        func gained(_ change: @escaping (inout Bundle) -> Void) -> [String] {
            AuthorityDifference(
                before: bundle(now, "1.0.0", change),
                after: bundle(now, "1.0.0", change),
                former: former
            )
            .gained
        }
        #expect(gained { _ in } == ["sales may agree to calls of crm.update (was support)"])
        #expect(
            gained { $0.tools[0].owner = "crm-people" }
                == ["crm-people, sales may agree to calls of crm.update (was crm-people, support)"]
        )
        #expect(gained { $0.tools[0].operations["update"]?.approvers = [.team("support")] } == [])
        #expect(gained { $0.tools[0].operations["update"]?.approval = .none } == [])
        #expect(AuthorityDifference(before: bundle(now), after: bundle(now), former: agent("sales/other")).gained == [])
    }

    @Test("A precondition that goes or weakens gains; a new or stricter one loses")
    func after() throws {
        func set(_ within: String?, _ same: String?, _ operation: String = "verify") -> (inout BundleOperation) -> Void
        {
            { target in
                target.after =
                    within.flatMap { TimeSpan($0) }.map {
                        [Precondition(tool: "crm", operation: operation, within: $0, same: same)]
                    } ?? []
            }
        }
        let (ten, hour, none) = (set("10m", "customer"), set("1h", "customer"), set(nil, nil))
        #expect(
            change(ten, none).gained
                == [
                    "may call crm.update without a call before (was: after crm.verify within 10m with the same 'customer')"
                ]
        )
        #expect(
            change(none, ten).lost
                == [
                    "may call crm.update after crm.verify within 10m with the same 'customer' (was: without a call before)"
                ]
        )
        for weaker in [hour, set("10m", nil), set("10m", "ticket"), set("10m", "customer", "look")] {
            #expect(change(ten, weaker).gained.count == 1)
        }
        #expect(change(hour, ten).gained == [] && change(hour, ten).lost.count == 1)
        #expect(change(set("60s", nil), set("1m", nil)) == ([], []))
    }

    @Test("A new approver gains, one fewer loses; naming those who could agree anyway changes nothing")
    func approvers() {
        func set(_ names: [String]?, _ approval: Approval = .manager) -> (inout BundleOperation) -> Void {
            {
                $0.approvers = names?.compactMap { Approver($0) }; $0.approval = approval
            }
        }
        #expect(
            change(set(["support"]), set(["finance", "support"])).gained
                == ["finance, support may agree to calls of crm.update (was support)"]
        )
        #expect(
            change(set(["finance", "support"]), set(["support"])).lost
                == ["support may agree to calls of crm.update (was finance, support)"]
        )
        #expect(
            change(set(nil), set(["crm-people"])).lost
                == ["crm-people may agree to calls of crm.update (was its team and the tool's owners)"]
        )
        #expect(change(set(nil), set(["crm-people", "support"])) == ([], []))
        #expect(change(set(nil), set(["finance"])).gained.count == 1)
        #expect(change(set(["support"]), set(nil)).gained.count == 1)
        #expect(change(set(["support"], .none), set(["finance"], .none)) == ([], []), "nobody is asked")
        #expect(change(set(["support"], .none), set(["finance"])).gained == [])
        let shown = change({ $0.rate = nil }, set(["finance"], .none))
        #expect(shown.gained == ["may call crm.update without approval (was: a manager's approval)"])
    }

    @Test("A record that goes gains; a new one loses")
    func record() {
        func set(_ places: [String]) -> (inout BundleOperation) -> Void {
            { $0.record = places.compactMap { JSONPointer($0) } }
        }
        #expect(
            change(set(["/ticket"]), set([])).gained == [
                "the record of calls no longer keeps all of /ticket of crm.update"
            ]
        )
        #expect(change(set([]), set(["/ticket"])).lost == ["the record of calls keeps /ticket of crm.update in clear"])
        #expect(
            change(set(["/ticket"]), set(["/amount"])).gained
                == ["the record of calls no longer keeps all of /ticket of crm.update (now /amount)"]
        )
    }

    @Test("A changed pin and one that goes gain; a first one loses")
    func pins() {
        func set(_ digit: String?) -> (inout BundleOperation) -> Void {
            { $0.pin = digit.flatMap { Digest(hex: String(repeating: $0, count: 64)) } }
        }
        #expect(
            change(set(nil), set("a")).lost == ["crm.update is pinned to the definition sha256:aaaaaaaaaaaa"]
        )
        #expect(
            change(set("a"), set("b")).gained
                == ["crm.update is pinned to the definition sha256:bbbbbbbbbbbb (was sha256:aaaaaaaaaaaa)"]
        )
        #expect(
            change(set("a"), set(nil)).gained
                == ["crm.update may be whatever its server offers now (was pinned to sha256:aaaaaaaaaaaa)"]
        )
    }

    @Test("A new operation says what is asked of its calls; leaving enforce and more runs at a time gain")
    func others() throws {
        let before = bundle { $0.tools[0].operations["update"] = nil }
        let after = bundle { bundle in
            bundle.tools[0].operations["update"]?.rate = CallRate("30/m")
            bundle.tools[0].operations["update"]?.approvers = [.team("finance")]
            bundle.tools[0].operations["update"]?.record = ["/ticket"].compactMap { JSONPointer($0) }
            bundle.mode = .observe
            bundle.limits.runs = 2
        }
        let difference = BundleDifference(before: before, after: after)
        #expect(
            difference.authority.gained == [
                "may now call crm.update (write, medium risk) with a manager's approval, of finance, 30 times a minute at most, recorded with /ticket",
                "what the gateway would refuse is let through and logged (mode: observe)",
            ]
        )
        #expect(difference.authority.lost == ["may use 2 runs at a time (was unlimited)"])
        #expect(difference.kind == .widening)
        let back = AuthorityDifference(before: after, after: before)
        #expect(back.lost.contains("what the gateway refuses is refused (was mode: observe)"))
        let new = AuthorityDifference(before: nil, after: after)
        #expect(new.gained.contains("what the gateway would refuse is let through and logged (mode: observe)"))
    }
}
