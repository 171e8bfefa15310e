import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Testing

@Suite("What an agent may do more or less")
struct AuthorityDifferenceTests {
    private func difference(_ change: (inout Bundle) -> Void) -> AuthorityDifference {
        AuthorityDifference(before: bundle(), after: bundle("support/triage", "1.0.0", change))
    }

    private func update(_ change: (inout BundleOperation) -> Void) -> AuthorityDifference {
        difference { bundle in
            guard var operation = bundle.tools[0].operations["update"] else { return }
            change(&operation)
            bundle.tools[0].operations["update"] = operation
        }
    }

    /// What is gained, and what the way back loses; and the other way round.
    private func inputs(_ was: JSONValue?, _ now: JSONValue?) -> (gained: [String], lost: [String]) {
        let (before, after) = (
            bundle { $0.tools[0].operations["update"]?.input = was },
            bundle { $0.tools[0].operations["update"]?.input = now }
        )
        let difference = AuthorityDifference(before: before, after: after)
        return (difference.gained, difference.lost)
    }

    @Test("Nothing changed, nothing said")
    func equal() {
        let none = difference { _ in }
        #expect(none.gained == [] && none.lost == [])
    }

    @Test("What is only written another way is not a change: no canary begins for it")
    func written() throws {
        let first: JSONValue = [
            "type": "object", "required": ["a", "b"], "properties": ["n": ["maximum": 10, "type": "number"]],
        ]
        let second: JSONValue = [
            "type": "object", "required": ["b", "a"], "properties": ["n": ["maximum": 10.0, "type": "number"]],
        ]
        for change: (inout Bundle, JSONValue, String) -> Void in [
            { bundle, schema, _ in bundle.contract.input = schema },
            { bundle, schema, _ in bundle.contract.output = schema },
            { bundle, schema, _ in bundle.tools[0].operations["find"]?.input = schema },
            { bundle, schema, _ in bundle.tools[0].operations["find"]?.output = schema },
            { bundle, _, time in bundle.tools[0].operations["find"]?.timeout = TimeSpan(time) },
        ] {
            let before = bundle { change(&$0, first, "60s") }
            let after = bundle { change(&$0, second, "1m") }
            #expect(BundleDifference(before: before, after: after).kind == .none)
            #expect(BundleDifference(before: before, after: after).isEmpty)
        }
    }

    @Test("A new agent gains its operations and delegates; a removed one loses them")
    func newAndRemoved() {
        let with = bundle { $0.delegates = [agent("it/desk")] }
        let created = AuthorityDifference(before: nil, after: with)
        #expect(
            created.gained == [
                "may now call crm.find (read, low risk)",
                "may now call crm.update (write, medium risk) with a manager's approval",
                "may now hand work to it/desk",
            ]
        )
        #expect(created.lost == [])
        let removed = AuthorityDifference(before: with, after: nil)
        #expect(removed.gained == [])
        #expect(
            removed.lost == [
                "may no longer call crm.find", "may no longer call crm.update", "may no longer hand work to it/desk",
            ]
        )
    }

    @Test("Operations and tools come and go")
    func operations() {
        #expect(
            difference { $0.tools[0].operations["erase"] = operation(.execute, .high, .dual) }.gained
                == ["may now call crm.erase (execute, high risk) with the approval of two people"]
        )
        #expect(difference { $0.tools[0].operations["find"] = nil }.lost == ["may no longer call crm.find"])
        #expect(difference { $0.tools = [] }.lost == ["may no longer call crm.find", "may no longer call crm.update"])
    }

    @Test("A new server is named, and the old one")
    func servers() {
        let moved = difference { $0.tools[0].server = ["mcp": ["url": "https://crm.example.com/mcp"]] }
        #expect(moved.gained == ["reaches crm through https://crm.example.com/mcp (was the command 'crm')"])
        #expect(moved.lines.map(\.field) == ["tools.crm.server"])
        let more = difference { $0.tools[0].server = ["mcp": ["command": ["crm"], "cwd": "x"]] }
        #expect(more.gained[0].contains(#""cwd":"x""#))
    }

    @Test("A new grant is shown with its approval, its limits and its end")
    func limitsOfNewGrants() {
        var cancel = operation(.execute, .high, .manager)
        let item: JSONValue = ["type": "object", "properties": ["sku": ["type": "string", "pattern": "^A"]]]
        cancel.input = [
            "type": "object",
            "properties": [
                "amount": ["type": "number", "minimum": 1, "maximum": 20], "order": ["type": "string"],
                "reason": ["enum": ["late", "broken"]],
                "lines": ["type": "array", "items": item],
            ],
            "allOf": [["properties": ["order": ["const": "x"]]]],
        ]
        cancel.expires = CalendarDate("2029-12-31")
        let granted = difference { $0.tools[0].operations["cancel"] = cancel }
        #expect(
            granted.gained == [
                "may now call crm.cancel (execute, high risk) with a manager's approval, "
                    + "amount at least 1 and at most 20, lines[].sku matching \"^A\", reason one of late, broken, "
                    + "order always \"x\", until 2029-12-31"
            ]
        )
        #expect(granted.lines.map(\.field) == ["tools.crm.cancel"])
    }

    @Test("Long values that begin alike are not shown as two equal excerpts")
    func longValues() {
        let long = String(repeating: "a", count: 80)
        func schema(_ last: JSONValue) -> JSONValue {
            ["properties": ["to": ["anyOf": [["const": .string(long)], ["const": last]]]]]
        }
        let changed = inputs(schema("old"), schema("new"))
        #expect(
            changed.gained == [
                #"may call crm.update with arguments that were not allowed before: to.anyOf[1]: const "new" (was "old")"#
            ]
        )
        let longer = inputs(["pattern": .string(long + "b")], ["pattern": .string(long + "c")])
        #expect(longer.gained == ["may call crm.update with arguments that were not allowed before: pattern changed"])
    }

    @Test("Less approval is gained, more is lost")
    func approvals() {
        #expect(
            update { $0.approval = .none }.gained == [
                "may call crm.update without approval (was: a manager's approval)"
            ]
        )
        #expect(
            update { $0.approval = .dual }.lost
                == ["needs the approval of two people to call crm.update (was: a manager's approval)"]
        )
        let back = AuthorityDifference(
            before: bundle { $0.tools[0].operations["update"]?.approval = .dual },
            after: bundle()
        )
        #expect(back.gained == ["may call crm.update with a manager's approval (was: the approval of two people)"])
    }

    @Test("An operation that does more, or worse, is gained")
    func access() {
        #expect(
            update { $0.access = .execute }.gained
                == ["crm.update is execute, medium risk (was write, medium risk)"]
        )
        #expect(update { $0.risk = .high }.gained == ["crm.update is write, high risk (was write, medium risk)"])
        #expect(update { $0.risk = .low }.gained == [])
    }

    @Test("A later end, or none, is gained; an earlier one is lost")
    func expiry() {
        let (early, late) = (CalendarDate("2026-12-31"), CalendarDate("2027-06-30"))
        func sentences(_ was: CalendarDate?, _ now: CalendarDate?) -> ([String], [String]) {
            let difference = AuthorityDifference(
                before: bundle { $0.tools[0].operations["update"]?.expires = was },
                after: bundle { $0.tools[0].operations["update"]?.expires = now }
            )
            return (difference.gained, difference.lost)
        }
        #expect(sentences(early, late) == (["may call crm.update until 2027-06-30 (was until 2026-12-31)"], []))
        #expect(sentences(late, early) == ([], ["may call crm.update until 2026-12-31 (was until 2027-06-30)"]))
        #expect(sentences(early, nil) == (["may call crm.update without an end (was until 2026-12-31)"], []))
        #expect(sentences(nil, early) == ([], ["may call crm.update until 2026-12-31 (was without an end)"]))
    }

    @Test("Another server or other credentials count as gained: what they reach cannot be seen from here")
    func reach() {
        #expect(
            difference { $0.tools[0].credentials = "vault:crm-admin" }.gained
                == ["calls crm with credentials vault:crm-admin (was vault:crm)"]
        )
        #expect(
            difference { $0.tools[0].credentials = nil }.gained == ["calls crm with credentials none (was vault:crm)"]
        )
        #expect(
            difference { $0.tools[0].server = nil }.gained == ["reaches crm through no server (was the command 'crm')"]
        )
    }

    @Test("Arguments that were not allowed before are gained, in words; fewer are lost")
    func arguments() {
        let (wide, narrow): (JSONValue, JSONValue) = (
            ["properties": ["amount": ["type": "number", "maximum": 500]]],
            ["properties": ["amount": ["type": "number", "maximum": 100]]]
        )
        #expect(
            inputs(narrow, wide)
                == (
                    ["may call crm.update with arguments that were not allowed before: amount: maximum 500 (was 100)"],
                    []
                )
        )
        #expect(
            inputs(wide, narrow) == ([], ["may call crm.update with fewer arguments: amount: maximum 100 (was 500)"])
        )
        #expect(
            inputs(narrow, true)
                == (["may call crm.update with arguments that were not allowed before: true (was \(narrow.text))"], [])
        )
        // A word for people changes nothing.
        #expect(inputs(["maximum": 1], ["maximum": 1, "description": "x"]) == ([], []))
    }

    /// A value of any type or of two, a limit of it that others get past, and one that holds.
    private static let loose: [(open: JSONValue, limit: JSONValue, tight: JSONValue)] = [
        ([:], ["maximum": 100], ["type": "number", "maximum": 100]),
        ([:], ["maxLength": 9], ["type": "string", "maxLength": 9]),
        ([:], ["items": ["enum": [1]]], ["type": "array", "items": ["enum": [1]]]),
        ([:], ["required": ["x"]], ["type": "object", "required": ["x"]]),
        (
            ["type": ["number", "string"]], ["type": ["number", "string"], "maximum": 100],
            ["type": "number", "maximum": 100]
        ),
    ]

    @Test("A limit that values of another type get past is not a narrowing, and is not claimed", arguments: loose)
    func unenforced(open: JSONValue, limit: JSONValue, tight: JSONValue) {
        func input(_ amount: JSONValue, note: JSONValue = ["type": "string"]) -> JSONValue {
            ["type": "object", "properties": ["amount": amount, "note": note]]
        }
        func kind(_ was: JSONValue, _ now: JSONValue) -> Change.Class {
            BundleDifference(
                before: bundle { $0.tools[0].operations["update"]?.input = was },
                after: bundle { $0.tools[0].operations["update"]?.input = now }
            ).kind
        }
        #expect(inputs(input(open), input(limit)) == ([], []))
        #expect(kind(input(open), input(limit)) == .behaviour)
        #expect(inputs(input(limit), input(open)).gained.count == 1)
        // With the type it narrows.
        for was in [open, limit] {
            #expect(inputs(input(was), input(tight)).lost.count == 1)
            #expect(kind(input(was), input(tight)) == .narrowing)
        }
        #expect(
            difference { $0.tools[0].operations["new"] = with(input(limit)) }.gained == [
                "may now call crm.new (write, medium risk)"
            ]
        )
        // What really narrows beside it still does.
        let both = input(limit, note: ["type": "string", "maxLength": 3])
        #expect(kind(input(open), both) == .narrowing)
        #expect(inputs(input(open), both).lost.first?.contains("; values of another type get past amount.") == true)
        #expect(kind(input(limit), both) == .narrowing)
        #expect(inputs(input(limit), both).lost.first?.contains("get past") == false)
    }

    private func with(_ input: JSONValue) -> BundleOperation {
        var new = operation(.write, .medium, .none)
        new.input = input
        return new
    }

    @Test("What cannot be shown to be narrower counts as gained")
    func unclear() {
        #expect(inputs(["pattern": "^a"], ["pattern": "^ab"]).gained.count == 1)
        #expect(inputs(["oneOf": [true, false]], ["oneOf": [false, true]]).gained.count == 1)
    }

    @Test("A definition that a schema refers to is part of it")
    func definitions() {
        func schema(_ maximum: JSONValue) -> JSONValue {
            ["properties": ["amount": ["$ref": "#/$defs/money"]], "$defs": ["money": ["maximum": maximum]]]
        }
        #expect(inputs(schema(100), schema(500)).gained.count == 1)
        #expect(inputs(schema(100), schema(500)).lost == [])
    }

    @Test("Higher limits are gained, lower ones lost, in their unit")
    func limits() {
        #expect(difference { $0.limits.run.steps = 9 }.gained == ["may use 9 steps a run (was 8)"])
        #expect(difference { $0.limits.run.steps = 7 }.lost == ["may use 7 steps a run (was 8)"])
        #expect(difference { $0.limits.run.steps = nil }.gained == ["may use any number of steps a run (was 8)"])
        #expect(difference { $0.limits.run.tokens = 100 }.lost == ["may use 100 tokens a run (was unlimited)"])
        #expect(difference { $0.limits.run.costUSD = 0.75 }.gained == ["may use 0.75 USD a run (was 0.5)"])
        #expect(difference { $0.limits.run.seconds = 91 }.gained == ["may use 91 seconds a run (was 90)"])
        #expect(difference { $0.limits.costUSDPerDay = 400 }.gained == ["may use 400 USD a day (was 40)"])
    }

    @Test("Identity and autonomy")
    func identity() {
        #expect(
            difference { $0.identity = "spiffe://x/prod/support/triage" }.gained
                == ["acts as spiffe://x/prod/support/triage (was spiffe://fleet.local/prod/support/triage)"]
        )
        #expect(difference { $0.autonomy = .draft }.lost == ["autonomy is draft (was full)"])
        let back = AuthorityDifference(
            before: bundle { $0.autonomy = .approve },
            after: bundle { $0.autonomy = .lowRisk }
        )
        #expect(back.gained == ["autonomy is low-risk (was approve)"])
    }

    @Test("A recorded bundle that names a tool twice is compared without a crash")
    func doubledTool() {
        let doubled = bundle { $0.tools += $0.tools }
        #expect(AuthorityDifference(before: doubled, after: bundle()).gained == [])
        #expect(BundleDifference(before: doubled, after: doubled).kind == .none)
    }
}
