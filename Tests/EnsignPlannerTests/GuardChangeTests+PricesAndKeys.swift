import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Testing

/// Prices, and whose signature counts.
extension GuardChangeTests {
    func priced(_ old: [String: Prices.Price]?, _ new: [String: Prices.Price]?) -> [String] {
        said(
            FleetGuards.changes(
                from: FleetGuards(environment: "prod", settings: Self.plain, prices: old),
                to: FleetGuards(environment: "prod", settings: Self.plain, prices: new)
            ) { Self.agents }
        )
    }

    @Test("A lower price halts later, a model without one never")
    func prices() {
        func price(_ input: Double, _ output: Double, read: Double? = nil, write: Double? = nil) -> Prices.Price {
            Prices.Price(input: input, output: output, cacheRead: read, cacheWrite: write)
        }
        let (who, unit) = ("every agent on x/m", "USD per million tokens")
        #expect(
            priced(["x/m": price(3, 15)], ["x/m": price(2, 15)]) == [
                "loosened \(who): its price is input 2 (was 3) \(unit): rules on spending halt later"
            ]
        )
        #expect(
            priced(["x/m": price(3, 15)], ["x/m": price(3, 16)]) == [
                "tightened \(who): its price is output 16 (was 15) \(unit): rules on spending halt earlier"
            ]
        )
        // One lower, one higher: it depends, so it is looser.
        #expect(
            priced(["x/m": price(3, 15)], ["x/m": price(4, 14)]) == [
                "loosened \(who): its price is input 4 (was 3), output 14 (was 15) \(unit): rules on spending halt later"
            ]
        )
        // Where nothing is written, tokens of the cache cost what others do.
        #expect(
            priced(["x/m": price(3, 15)], ["x/m": price(3, 15, read: 0.3)]) == [
                "loosened \(who): its price is cacheRead 0.3 (was 3) \(unit): rules on spending halt later"
            ]
        )
        #expect(priced(["x/m": price(3, 15)], ["x/m": price(3, 15, read: 3, write: 3)]) == [])
        #expect(
            priced(["x/m": price(3, 15)], [:]) == [
                "loosened \(who): the model no longer has a price: what is spent on it is not counted"
            ]
        )
        #expect(
            priced([:], ["x/m": price(3, 15)]) == [
                "tightened \(who): the model has a price: what is spent on it is counted"
            ]
        )
        #expect(
            priced([:], nil) == [
                "loosened every agent of prod (5): the prices cannot be read: what is spent is not counted"
            ]
        )
        #expect(priced(nil, [:]).first?.hasPrefix("tightened every agent") == true)
        #expect(priced(nil, nil) == [])
    }

    func trusted(_ old: [TrustedKey], _ new: [TrustedKey]) -> [String] {
        said(
            FleetGuards.changes(
                from: FleetGuards(environment: "prod", settings: Self.plain, signers: old),
                to: FleetGuards(environment: "prod", settings: Self.plain, signers: new)
            ) { Self.agents }
        )
    }

    @Test("A key that is trusted for more is looser, for less tighter")
    func keys() {
        func key(
            _ who: String = "ada@example.com",
            for namespaces: String? = "git",
            from validAfter: Int64? = nil,
            until validBefore: Int64? = nil,
            _ fingerprint: String = "SHA256:a"
        ) -> TrustedKey {
            TrustedKey(
                fingerprint: fingerprint,
                principals: who,
                namespaces: namespaces,
                validAfter: validAfter,
                validBefore: validBefore,
                isAuthority: false
            )
        }
        let who = "every agent of prod (5): the key SHA256:a of ada@example.com"
        #expect(trusted([], [key()]) == ["loosened \(who) is trusted now, for git"])
        #expect(trusted([key()], []) == ["tightened \(who) is no longer trusted"])
        #expect(
            trusted([key()], [key(for: nil)]) == [
                "loosened \(who) is trusted now, for everything but approvals (was for git)"
            ]
        )
        #expect(
            trusted([key(for: nil)], [key()]) == [
                "tightened \(who) is trusted for git alone (was for everything but approvals)"
            ]
        )
        #expect(
            trusted([key(until: 86_400)], [key(until: 2 * 86_400)]) == [
                "loosened \(who) is trusted now, for git until 1970-01-03T00:00:00Z (was for git until 1970-01-02T00:00:00Z)"
            ]
        )
        #expect(trusted([key(from: 0)], [key(from: 1)]).first?.hasPrefix("tightened") == true)
        // Another name for a key may be another person.
        #expect(trusted([key()], [key("bo@example.com")]).first?.hasPrefix("loosened") == true)
        #expect(trusted([key(), key(from: 5)], [key()]) == [])
        let other = key("bo@example.com", "SHA256:b")
        #expect(trusted([key(), other], [other, key()]) == [])
    }
}
