import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Rules of a rollout and of the kill switch")
struct RolloutTests {
    /// Checks an environment that has this as its last field.
    private func check(_ field: String) -> String {
        EnsignManifestTests.check(FleetFixture.environmentPath, "keepFor: 7d", field)
            .replacing("\(FleetFixture.environmentPath):", with: "")
    }

    @Test("The rollout of the design is accepted")
    func accepted() {
        #expect(
            check(
                """
                rollout:
                    canary:
                      steps: [{weight: 5, hold: 10m}, {weight: 25, hold: 30m}, {weight: 50, hold: 1h}]
                      analysis:
                        metrics:
                          - {name: success, kind: rate, good: true, margin: 0.05}
                          - {name: cost, kind: distribution, unit: USD, margin: 20%}
                          - {name: denied-calls, kind: rate, margin: 0.01}
                        confidence: 0.95
                        deadline: 24h
                        onInconclusive: hold
                """
            ) == ""
        )
        #expect(check("rollout: {immediate: {}}") == "")
        #expect(
            check(
                """
                killSwitch:
                    - {spend: 25, within: 5m}
                    - {repeatedCall: 20, within: 1m}
                    - {deniedCalls: 5, within: 1m}
                    - {steps: 50}
                    - {unknownTool: 1}
                """
            ) == ""
        )
    }

    @Test("A margin is a number, or digits and a per cent sign")
    func margins() {
        func margin(_ text: String) -> String {
            check(
                "rollout: {canary: {steps: [{weight: 5, hold: 1m}], analysis: {metrics: [{name: a, kind: rate, margin: ①\(text)}]}}}"
            )
        }
        for text in ["0", "0.05", "20%", "2.5%", "\"20%\"", "1000%"] { #expect(margin(text) == "", "\(text)") }
        for text in ["x%", "nan%", "-1%", "1001%", "0x10%", "1e1%", "\"%\"", "5.%", "+5%", "inf%"] {
            let shown = text.replacing("\"", with: "")
            #expect(
                margin(text) == "①: error: margin: '\(shown)' is not a percentage from 0% to 1000% [out-of-range]",
                "\(text)"
            )
        }
        #expect(margin("-1").contains("①: error: margin must be from 0"))
        #expect(margin("ten").contains("①: error: margin must be a number"))
    }

    @Test("A rule of the kill switch has exactly one limit")
    func oneLimit() {
        let limits = "spend, repeatedCall, deniedCalls, steps, unknownTool"
        #expect(
            check("killSwitch: [①{}, ②{within: 5m}, ③{steps: 50, spend: 25, within: 5m}]") == """
                ①: error: an element of killSwitch must have exactly one of: \(limits) [not-one-of]
                ②: error: an element of killSwitch must have exactly one of: \(limits) [not-one-of]
                ③: error: an element of killSwitch must have exactly one of: \(limits) [not-one-of]
                """
        )
    }

    @Test(
        "A limit within a window needs the window; others have none",
        arguments: ["spend", "repeatedCall", "deniedCalls"]
    )
    func windows(limit: String) {
        #expect(
            check("killSwitch: [①{\(limit): 5}]")
                == "①: error: an element of killSwitch needs 'within': the window. [missing-field]"
        )
        #expect(
            check("killSwitch: [{steps: 5, ①within: 5m}]") == """
                ①: error: unknown field 'within' [unknown-field]
                  hint: fields here: steps
                """
        )
    }
}
