import EnsignModel
import EnsignPolicy
import EnsignTestSupport
import Testing

@Suite("Who may agree to a call, and when it is enough")
struct ApprovalRuleTests {
    private static let now = Timestamp(seconds: 1_800_000_000)

    private func policy() -> GatewayPolicy {
        var policy = GatewayPolicy(environment: "prod")
        for (name, keys) in [
            ("ada@example.com", ["a1", "a2"]), ("bo@example.com", ["b"]), ("cy@example.com", ["b"]),
            ("dee@example.com", ["d"]), ("svc@example.com", ["s"]),
        ] {
            policy.approvers[name] = keys.map { GatewayPolicy.Key(key: $0) }
        }
        policy.teams["support"] = GatewayPolicy.Team(members: ["ada@example.com", "svc@example.com"])
        policy.teams["crm-people"] = GatewayPolicy.Team(members: ["bo@example.com", "cy@example.com"])
        policy.teams["finance"] = GatewayPolicy.Team(members: ["dee@example.com"])
        policy.owners["crm"] = "crm-people"
        return policy
    }

    private func rule(
        _ approval: Approval,
        _ approvers: [Approver]? = nil,
        asking: Set<String> = [],
        accounts: Set<ApprovalRule.Account> = [],
        policy: GatewayPolicy?
    ) -> ApprovalRule {
        let bundle = bundle { bundle in
            bundle.tools[0].operations["update"]?.approval = approval
            bundle.tools[0].operations["update"]?.approvers = approvers
        }
        return ApprovalRule(
            bundle,
            tool: "crm",
            operation: "update",
            policy: policy,
            asking: asking,
            accounts: accounts
        )
    }

    private func signed(_ pairs: (String, String)...) -> [ApprovalRule.Signature] {
        pairs.map { ApprovalRule.Signature(principal: "\($0.0)@example.com", key: $0.1) }
    }

    @Test("Without names the agent's team and the tool's owners may agree; with names only those")
    func who() {
        let standard = rule(.manager, policy: policy())
        #expect(standard.approvers == [.team("crm-people"), .team("support")])
        #expect(standard.people.keys.sorted() == ["ada", "bo", "cy", "svc"].map { "\($0)@example.com" })
        let named = rule(.manager, [.principal("ada@example.com"), .team("finance")], policy: policy())
        #expect(named.people.keys.sorted() == ["ada@example.com", "dee@example.com"])
        #expect(rule(.manager, [.principal("eve@example.com"), .team("none")], policy: policy()).people.isEmpty)
        #expect(rule(.manager, [], policy: policy()).people.isEmpty, "an empty list is nobody")
        #expect(rule(.manager, policy: nil).people.isEmpty)
        let bundle = bundle()
        #expect(ApprovalRule(bundle, tool: "crm", operation: "erase", policy: policy()).people.isEmpty)
    }

    @Test("Whoever asks never counts, nor does a key of somebody else, a key out of time, or a stranger")
    func counted() {
        var dated = policy()
        dated.approvers["dee@example.com"] = [
            GatewayPolicy.Key(
                key: "d",
                from: Timestamp(seconds: 1_700_000_000),
                until: Timestamp(seconds: 1_800_000_000)
            )
        ]
        let rule = rule(.manager, [.team("finance"), .team("support")], asking: ["svc@example.com"], policy: dated)
        #expect(rule.isFulfilled(by: signed(("ada", "a1")), at: Self.now))
        #expect(rule.isFulfilled(by: signed(("dee", "d")), at: Self.now), "the last second counts")
        #expect(!rule.isFulfilled(by: signed(("dee", "d")), at: Self.now.advanced(seconds: 1)))
        #expect(!rule.isFulfilled(by: signed(("dee", "d")), at: Timestamp(seconds: 1_699_999_999)))
        for wrong in [signed(("svc", "s")), signed(("ada", "b")), signed(("bo", "b")), signed(("eve", "a1")), []] {
            #expect(!rule.isFulfilled(by: wrong, at: Self.now), "\(wrong)")
        }
    }

    private static func account(_ subject: String, of issuer: String = "https://idp") -> ApprovalRule.Account {
        ApprovalRule.Account(issuer: issuer, subject: subject)
    }

    /// A token of somebody's account that has this address.
    private func token(_ name: String, _ account: ApprovalRule.Account) -> ApprovalRule.Signature {
        ApprovalRule.Signature(principal: "\(name)@example.com", proof: .issuer(account))
    }

    @Test("A token of an account that asks never counts, whatever address it has; of two bundles' rules neither's")
    func askingAccounts() {
        let asker = Self.account("u1")
        let asked = rule(.manager, accounts: [asker], policy: policy())
        for rule in [asked, asked.both(rule(.manager, policy: policy())), rule(.manager, policy: policy()).both(asked)]
        {
            for name in ["ada", "bo"] {
                #expect(!rule.isFulfilled(by: [token(name, asker)], at: Self.now))
                for other in [Self.account("u2"), Self.account("u1", of: "https://other"), Self.account("U1")] {
                    #expect(rule.isFulfilled(by: [token(name, other)], at: Self.now))
                }
            }
            #expect(rule.isFulfilled(by: signed(("ada", "a1")), at: Self.now), "a key is known by its principal")
        }
    }

    @Test("One person in two spellings is one: where two must agree, and where somebody must not")
    func spellings() {
        var policy = policy()
        policy.approvers["ADA@example.com"] = [GatewayPolicy.Key(key: "a3")]
        policy.teams["support"]?.members += ["ADA@example.com"]
        policy.teams["support"]?.others = ["Zoë@example.com", "ZOË@example.com"]
        let dual = rule(.dual, [.team("support")], asking: ["svc@example.com"], policy: policy)
        #expect(!dual.isFulfilled(by: signed(("ada", "a1"), ("ADA", "a3")), at: Self.now))
        #expect(!dual.isPossible(at: Self.now))
        #expect(dual.isPossible(at: Self.now, byIssuers: true), "Zoë is the second one")
        for asking in ["ada@EXAMPLE.com", "ADA@example.com", "ada@example.com"] {
            let rule = rule(.manager, [.team("support")], asking: [asking, "ZoË@example.com"], policy: policy)
            #expect(rule.people.keys.sorted() == ["svc@example.com"] && rule.everyone == ["svc@example.com"])
        }
        // Who may is compared exactly.
        let named = rule(.manager, [.principal("Bo@example.com")], policy: policy)
        #expect(!named.isFulfilled(by: signed(("bo", "b"), ("Bo", "b")), at: Self.now))
        #expect(named.people.isEmpty)
    }

    @Test("Dual takes two people and two keys: one person twice, or two with one key, are not enough")
    func dual() {
        let rule = rule(.dual, policy: policy())
        #expect(rule.isPossible(at: Self.now))
        #expect(rule.isFulfilled(by: signed(("ada", "a1"), ("bo", "b")), at: Self.now))
        #expect(rule.isFulfilled(by: signed(("bo", "b"), ("cy", "b"), ("ada", "a2")), at: Self.now))
        for few in [signed(("ada", "a1")), signed(("ada", "a1"), ("ada", "a2")), signed(("bo", "b"), ("cy", "b"))] {
            #expect(!rule.isFulfilled(by: few, at: Self.now), "\(few)")
        }
        let shared = self.rule(.dual, [.team("crm-people")], policy: policy())
        #expect(!shared.isPossible(at: Self.now), "they have one key together")
        #expect(self.rule(.none, policy: nil).isFulfilled(by: [], at: Self.now))
    }

    @Test("Dual takes two accounts and two addresses: whatever has one of them in common is one person")
    func dualByTokens() {
        let rule = rule(.dual, policy: policy())
        let (one, two) = (Self.account("u1"), Self.account("u2"))
        for few in [
            [token("ada", one), token("bo", one)], [token("ada", one), token("ada", two)],
            [token("ada", one), token("bo", one), token("ada", two)],
            [token("ada", one), token("bo", two), token("cy", one), token("cy", two)],
            signed(("ada", "a1")) + [token("ada", one), token("bo", one)],
        ] {
            #expect(!rule.isFulfilled(by: few, at: Self.now), "\(few)")
        }
        for enough in [
            [token("ada", one), token("bo", two)],
            [token("ada", one), token("bo", Self.account("u1", of: "https://other"))],
            [token("ada", one), token("bo", one), token("cy", two)], signed(("ada", "a1")) + [token("bo", one)],
        ] {
            #expect(rule.isFulfilled(by: enough, at: Self.now), "\(enough)")
        }
    }

    @Test("Where two bundles must allow a call, the stricter count holds and only those whom both name")
    func both() {
        let one = rule(.manager, [.team("support"), .principal("dee@example.com")], policy: policy())
        let two = rule(.dual, [.team("finance"), .principal("ada@example.com")], policy: policy())
        for both in [one.both(two), two.both(one)] {
            #expect(both.needed == 2)
            #expect(both.people.keys.sorted() == ["ada@example.com", "dee@example.com"])
            #expect(!both.isFulfilled(by: signed(("svc", "s"), ("ada", "a1")), at: Self.now))
            #expect(both.isFulfilled(by: signed(("dee", "d"), ("ada", "a1")), at: Self.now))
        }
        #expect(one.both(rule(.none, policy: policy())) == one && rule(.none, policy: policy()).both(one) == one)
    }
}
