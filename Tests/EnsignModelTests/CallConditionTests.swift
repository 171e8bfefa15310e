import EnsignModel
import EnsignTestSupport
import Testing

@Suite("What is asked of calls, as values")
struct CallConditionTests {
    // MARK: Rates

    @Test("A rate is a whole number for each second, minute, hour or day, and says itself back")
    func rates() {
        for text in ["1/s", "30/m", "1000000/h", "7/d"] { #expect(CallRate(text)?.description == text) }
        for text in [
            "", "30", "30/", "/m", "0/m", "-1/m", "+1/m", "1.5/m", "30/min", "30/M", "30 /m", "1000001/d", "030/m",
            "99999999999999999999/s", "3_0/m", "٣/m", "30/m/m",
        ] {
            #expect(CallRate(text) == nil, "\(text)")
        }
        #expect(CallRate("1/h")?.words == "once an hour")
        #expect(CallRate("30/m")?.words == "30 times a minute")
    }

    @Test(
        "A rate that keeps another one allows no sequence of calls that the other does not; the stricter one keeps both"
    )
    func keeping() {
        var random = SeededGenerator(for: "rates", standard: 0x4A7E)
        var kept = 0
        for _ in 0..<3_000 {
            let (first, second) = (Self.rate(&random), Self.rate(&random))
            let both = CallRate.stricter(first, second)
            #expect(both.keeps(first) && both.keeps(second), "\(first) \(second) \(both), seed \(random.seed)")
            guard first.keeps(second) else { continue }
            kept += 1
            let times = Self.busiest(first, &random)
            #expect(Self.allows(second, times), "\(first) keeps \(second), seed \(random.seed)")
        }
        #expect(kept > 300)
    }

    private static func rate(_ random: inout SeededGenerator) -> CallRate {
        CallRate(count: random.pick([1, 2, 3, 10, 59, 60, 61, 600]), period: random.pick([.second, .minute]))
    }

    /// Calls, by the second, that use a rate up in bursts.
    private static func busiest(_ rate: CallRate, _ random: inout SeededGenerator) -> [Int64] {
        var times: [Int64] = []
        var (now, first): (Int64, Int) = (0, 0)
        while now < 200, times.count < 5_000 {
            while first < times.count, times[first] <= now - rate.period.seconds { first += 1 }
            if Int64(times.count - first) < rate.count, !random.once(in: 20) { times.append(now) } else { now += 1 }
        }
        return times
    }

    /// Whether the newest calls keep a rate: the sliding window, counted one by one.
    private static func allows(_ rate: CallRate, _ times: [Int64]) -> Bool {
        var first = 0
        for (index, time) in times.enumerated() {
            while times[first] <= time - rate.period.seconds { first += 1 }
            if Int64(index - first + 1) > rate.count { return false }
        }
        return true
    }

    // MARK: Preconditions, pointers, people

    @Test("An operation of a precondition may have dots in its name, its tool has none")
    func operations() throws {
        let parts = try #require(Precondition.operation("crm.repo.read_file"))
        #expect(parts == ("crm", "repo.read_file"))
        for text in ["crm", "crm.", ".read", "Crm.read", "crm.a b", "crm/read"] {
            #expect(Precondition.operation(text) == nil, "\(text)")
        }
    }

    @Test("A precondition implies what asks no more: the same call, longer ago, without the same argument")
    func implying() throws {
        let strict = try condition("10m", "customer")
        #expect(strict.implies(strict))
        #expect(try strict.implies(condition("600s", "customer")))
        #expect(try strict.implies(condition("1h", "customer")) && strict.implies(condition("1h", nil)))
        #expect(try !condition("1h", "customer").implies(strict) && !condition("10m", nil).implies(strict))
        #expect(try !condition("10m", "é").implies(condition("10m", "e\u{301}")), "other bytes are another argument")
        #expect(try Precondition.all([condition("1h", nil)], [strict]) == [strict])
        #expect(try Precondition.all([strict], [condition("1h", nil)]) == [strict])
        #expect(try Precondition.all([strict], [condition("5m", nil)]).count == 2)
    }

    private func condition(_ within: String, _ same: String?) throws -> Precondition {
        Precondition(tool: "crm", operation: "verify", within: try #require(TimeSpan(within)), same: same)
    }

    @Test("A pointer finds what RFC 6901 says it does, and says itself back")
    func pointers() throws {
        let value: JSONValue = ["ticket": "T1", "a/b": 1, "m~n": 2, "": 3, "lines": [["id": 7], ["id": 8]]]
        for (text, found) in [
            ("/ticket", "\"T1\""), ("/a~1b", "1"), ("/m~0n", "2"), ("/", "3"), ("/lines/1/id", "8"),
        ] {
            let pointer = try #require(JSONPointer(text))
            #expect(pointer.value(in: value)?.text == found)
            #expect(pointer.description == text)
        }
        for text in ["/none", "/lines/2", "/lines/01", "/lines/-", "/ticket/x"] {
            #expect(try #require(JSONPointer(text)).value(in: value) == nil, "\(text)")
        }
        for text in ["", "ticket", "/a~", "/a~2", "#/a", "/" + String(repeating: "a", count: 256)] {
            #expect(JSONPointer(text) == nil, "\(text)")
        }
    }

    @Test("An approver is a team's name, or one person whom no pattern and no look-alike can be taken for")
    func approvers() {
        #expect(Approver("payments") == .team("payments"))
        #expect(Approver("ada@example.com") == .principal("ada@example.com"))
        for text in [
            "", "*@example.com", "a?a@example.com", "!ada@example.com", "a@b,c@d", "ada@exa mple.com", "Payments", "@",
            "ada@", "@example.com", "аda@example.com", "ada@example.com\u{202e}", "\"ada\"@example.com",
        ] {
            #expect(Approver(text) == nil, "\(text)")
        }
    }

    // MARK: In a bundle

    private func full() throws -> Bundle {
        try bundle { bundle in
            var operation = try #require(bundle.tools[0].operations["update"])
            operation.approvers = [.principal("ada@example.com"), .team("payments")]
            operation.rate = CallRate("30/m")
            operation.after = [try condition("10m", "customer")]
            operation.record = [try #require(JSONPointer("/ticket"))]
            operation.pin = Digest(hex: String(repeating: "b", count: 64))
            bundle.tools[0].operations["update"] = operation
            bundle.tools[0].owner = "payments"
            bundle.limits.runs = 3
            bundle.mode = .observe
        }
    }

    private func bundle(_ change: (inout Bundle) throws -> Void) rethrows -> Bundle {
        var bundle = EnsignTestSupport.bundle()
        try change(&bundle)
        return bundle
    }

    @Test("A bundle has them only where they are declared, and is read back as it was")
    func roundTrip() throws {
        let plain = EnsignTestSupport.bundle()
        let words = ["approvers", "rate", "after", "record", "pin", "runs", "mode"].map { "\"\($0)\"" }
        let text = plain.json.text
        #expect(words.filter { text.contains($0) } == [])
        #expect(Bundle(json: plain.json) == plain)
        let full = try full()
        #expect(Bundle(json: full.json) == full)
        let operation = full.json["tools"]?[0]?["operations"]?["update"]
        #expect(operation?["after"]?.text == #"{"operation":"crm.verify","same":"customer","within":"10m"}"#)
        #expect(operation?["approvers"]?.text == #"["ada@example.com","payments"]"#)
        #expect(operation?["rate"] == "30/m" && operation?["record"]?.text == #"["/ticket"]"#)
        #expect(full.json["mode"] == "observe" && full.json["limits"]?["runs"]?.int == 3)
        var several = full
        several.tools[0].operations["update"]?.after.append(try condition("5m", nil))
        #expect(Bundle(json: several.json) == several)
    }

    @Test("A bundle with a condition that cannot be understood is not read: without it more would be allowed")
    func unreadable() throws {
        for (member, value) in [
            ("approvers", "payments"), ("approvers", ["*@example.com"]), ("rate", "30/min"), ("rate", 30),
            ("after", "crm.verify"), ("after", ["operation": "crm.verify"]),
            ("after", [["operation": "crm.verify", "within": "1m"], "x"]),
            ("after", ["operation": "crm.verify", "within": "1m", "same": 1]), ("record", "/ticket"),
            ("record", ["ticket"]), ("pin", "sha256:abc"), ("pin", .null), ("rate", .null),
        ] as [(String, JSONValue)] {
            let json = try full().json.replacing(member, with: value, at: ["tools", "0", "operations", "update"])
            #expect(Bundle(json: json) == nil, "\(member): \(value.text)")
        }
        for (member, value) in [("mode", "off"), ("mode", .null)] as [(String, JSONValue)] {
            #expect(try Bundle(json: full().json.replacing(member, with: value, at: [])) == nil)
        }
        #expect(try Bundle(json: full().json.replacing("runs", with: "3", at: ["limits"])) == nil)
    }

    // MARK: The policy

    @Test("A policy is one canonical file, and is read back as it was")
    func policy() throws {
        var policy = GatewayPolicy(environment: "prod")
        #expect(policy.isEmpty(countingOthers: true))
        policy.approvers["ada@example.com"] = [
            GatewayPolicy.Key(key: "ssh-ed25519 AAAA", from: Timestamp("2026-01-01T00:00:00Z")),
            GatewayPolicy.Key(key: "ssh-ed25519 BBBB", until: Timestamp("2027-01-01T00:00:00Z")),
        ]
        policy.teams["payments"] = GatewayPolicy.Team(members: ["ada@example.com"], costUSDPerDay: 12.5)
        policy.owners["pay"] = "payments"
        policy.costUSDPerDay = 400
        policy.prices["anthropic/claude"] = Prices.Price(input: 3, output: 15, cacheRead: 0.3, cacheWrite: nil)
        #expect(GatewayPolicy(json: policy.json) == policy)
        #expect(
            String(decoding: policy.bytes, as: UTF8.self) == """
                {"approvers":{"ada@example.com":[{"from":"2026-01-01T00:00:00Z","key":"ssh-ed25519 AAAA"},{"key":"ssh-ed25519 BBBB","until":"2027-01-01T00:00:00Z"}]},"environment":"prod","limits":{"costUSDPerDay":400},"prices":{"anthropic/claude":{"cacheRead":0.3,"input":3,"output":15}},"teams":{"payments":{"limits":{"costUSDPerDay":12.5},"members":["ada@example.com"]}},"tools":{"pay":{"owner":"payments"}},"v":1}

                """
        )
        for (member, path) in [
            ("from", ["approvers", "ada@example.com", "0"]), ("key", ["approvers", "ada@example.com", "0"]),
            ("v", []), ("environment", []), ("approvers", []), ("limits", []), ("prices", []),
            ("members", ["teams", "payments"]),
            ("owner", ["tools", "pay"]), ("costUSDPerDay", ["limits"]),
        ] as [(String, [String])] {
            #expect(GatewayPolicy(json: policy.json.replacing(member, with: [["x": 1]], at: path)) == nil, "\(member)")
        }
    }
}

extension JSONValue {
    /// The value with a member of the object at a place replaced.
    fileprivate func replacing(_ member: String, with value: JSONValue, at path: [String]) -> JSONValue {
        guard let first = path.first else {
            guard case .object(var object) = self else { return self }
            object[member] = value
            return .object(object)
        }
        if case .array(var elements) = self, let index = Int(first), elements.indices.contains(index) {
            elements[index] = elements[index].replacing(member, with: value, at: Array(path.dropFirst()))
            return .array(elements)
        }
        guard case .object(var object) = self, let inner = object[first] else { return self }
        object[first] = inner.replacing(member, with: value, at: Array(path.dropFirst()))
        return .object(object)
    }
}
