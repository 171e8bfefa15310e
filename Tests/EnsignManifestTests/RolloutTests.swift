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
                "rollout: {canary: {steps: [{weight: 5, hold: 1m}], analysis: {metrics: [{name: success, kind: rate, margin: ①\(text)}]}}}"
            )
        }
        for text in ["0", "0.05", "20%", "2.5%", "\"20%\"", "99%"] { #expect(margin(text) == "", "\(text)") }
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

    private func metric(_ fields: String) -> String {
        check("rollout: {canary: {steps: [{weight: 5, hold: 1m}], analysis: {metrics: [①{\(fields)}]}}}")
    }

    @Test("The margin of a rate is 1 at most; a share of the stable version's value may be more")
    func rateMargins() {
        for text in ["1", "1.0", "200%"] {
            let found = metric("name: success, kind: rate, margin: \(text)")
            #expect(!found.contains("error") && found.contains("[margin-of-all]"), "\(text)")
        }
        for text in ["1.5", "5", "1e3"] {
            #expect(
                metric("name: success, kind: rate, margin: ②\(text)") == """
                    ②: error: margin: a rate is from 0 to 1, and no candidate is worse by \(text) [out-of-range]
                      hint: write 0.05 for five points, or 5% for a share of the stable version's rate
                    """
            )
        }
        #expect(metric("name: cost, kind: distribution, margin: 1.5") == "")
        for text in ["inf", "0x10", "1e308"] {
            #expect(!metric("name: success, kind: rate, margin: ②\(text)").contains("a rate is from"), "\(text)")
        }
    }

    @Test("Weights grow from step to step")
    func weights() {
        func steps(_ weights: String...) -> String {
            let steps = weights.map { "{weight: \($0), hold: 1m}" }.joined(separator: ", ")
            return check("rollout: {canary: {steps: [\(steps)]}}")
        }
        #expect(steps("1", "2", "100") == "")
        #expect(
            steps("50", "①25", "②50", "60") == """
                ①: error: weight: each step takes more sessions than the one before, and 25 comes after 50 [weight-not-growing]
                  hint: write more than 50, or remove the step
                ②: error: weight: each step takes more sessions than the one before, and 50 comes after 50 [weight-not-growing]
                  hint: write more than 50, or remove the step
                """
        )
    }

    @Test("A step that takes all sessions leaves nothing to compare with, which is said where there is an analysis")
    func allSessions() {
        func rollout(_ weights: String, _ more: String) -> String {
            let steps = weights.split(separator: " ").map { "{weight: \($0), hold: 1m}" }.joined(separator: ", ")
            return check("rollout: {canary: {steps: [\(steps)]\(more)}}")
        }
        let analysis = ", analysis: {metrics: [{name: success, kind: rate, margin: 0.05}]}"
        #expect(
            rollout("50 ①100", analysis) == """
                ①: warning: weight: at 100 no session takes the stable version, so the analysis has only what it laid by [nothing-to-compare]
                  hint: end below 100: when the analysis passes, the candidate takes every session
                """
        )
        #expect(rollout("50 99", analysis) == "")
        #expect(rollout("50 100", "") == "")
    }

    @Test("A deadline leaves time for a verdict; one before the last hold is worth a word")
    func deadlines() {
        func deadline(_ text: String, _ holds: String...) -> String {
            let steps = holds.enumerated().map { "{weight: \($0 + 1), hold: \($1)}" }.joined(separator: ", ")
            return check(
                "rollout: {canary: {steps: [\(steps)], analysis: {metrics: [{name: success, kind: rate, margin: 0.1}], deadline: ①\(text)}}}"
            )
        }
        #expect(deadline("40m", "10m", "30m") == "")
        #expect(deadline("24h", "10m", "30m") == "")
        for text in ["39m", "1ms"] {
            #expect(
                deadline(text, "10m", "30m") == """
                    ①: warning: deadline: \(text) is over before the last hold is [deadline-too-short]
                      hint: the holds take 40m together; without a verdict by then 'onInconclusive' decides
                    """
            )
        }
        #expect(
            deadline("0s", "0s") == """
                ①: error: deadline: 0s leaves no time for a verdict [deadline-too-short]
                  hint: write how long to wait for a verdict, or remove it
                """
        )
    }

    @Test("A metric of Prometheus has a query and may have a step")
    func queries() {
        let head = "name: \"prometheus:queue-age\", kind: distribution, unit: s, margin: 20%"
        let query = #"query: 'max by (version) (queue_age_seconds{agent="support/refund-triage"})'"#
        #expect(metric("\(head), \(query), step: 1m") == "")
        #expect(metric("\(head), \(query)") == "")
        #expect(metric(#"name: "prometheus:slo", kind: rate, good: false, margin: 0.05, query: 'up > bool 0.5'"#) == "")
        #expect(
            metric(head)
                == "①: error: 'prometheus:queue-age' needs 'query': the PromQL that measures it [missing-field]"
        )
        #expect(
            metric(#"name: ②"prometheus:", kind: rate, good: true, margin: 0.05, query: up"#).contains(
                "②: error: name: 'prometheus:' needs a name behind it, such as prometheus:queue-age [invalid-value]"
            )
        )
    }

    @Test("A query is one line of text, and not long")
    func queryTexts() {
        func query(_ text: String) -> String {
            metric("name: \"prometheus:a\", kind: rate, good: true, margin: 0.05, query: ②\(text)")
        }
        #expect(query("\"\(String(repeating: "u", count: 4_096))\"") == "")
        #expect(
            query("\"\(String(repeating: "u", count: 4_097))\"")
                == "②: error: query is longer than 4096 bytes [too-long]"
        )
        for text in [#""a\nb""#, #""a\tb""#, #""\u0085""#] {
            #expect(query(text).contains("②: error: query: must be one line without control characters"), "\(text)")
        }
        #expect(query("\"\"").contains("②: error: query: must not be empty [invalid-value]"))
        #expect(query("[up]").contains("②: error: query must be a PromQL query, and this is a list"))
    }

    @Test("A step is from a second to an hour")
    func steps() {
        func step(_ text: String) -> String {
            metric("name: \"prometheus:a\", kind: rate, good: true, margin: 0.05, query: up, step: ②\(text)")
        }
        for text in ["1s", "1500ms", "60m", "1h"] { #expect(step(text) == "", "\(text)") }
        for text in ["999ms", "0s", "61m", "1d"] {
            #expect(step(text) == "②: error: step: '\(text)' is not from 1s to 1h [invalid-duration]", "\(text)")
        }
        #expect(step("soon").contains("②: error: step: 'soon' is not a duration"))
    }

    @Test("A metric is there once")
    func twice() {
        let metrics = ["success", "denied-calls", "①success"].map { "{name: \($0), kind: rate, margin: 0.1}" }.joined(
            separator: ", "
        )
        #expect(
            check("rollout: {canary: {steps: [{weight: 5, hold: 1m}], analysis: {metrics: [\(metrics)]}}}")
                == "①: error: the metric 'success' is there twice [duplicate-metric]"
        )
    }

    @Test("A metric that nothing measures is refused, with what may have been meant")
    func unknownMetrics() {
        #expect(
            metric("name: ②sucess, kind: rate, good: true, margin: 0.05") == """
                ②: error: nothing measures 'sucess' [unknown-metric]
                  hint: did you mean 'success'?
                """
        )
        #expect(
            metric("name: ②happiness, kind: rate, margin: 0.05") == """
                ②: error: nothing measures 'happiness' [unknown-metric]
                  hint: metrics: success, cost, tokens, latency, steps, tool-errors, denied-calls, evaluation:<name>, prometheus:<name>
                """
        )
        #expect(
            metric(#"name: ②"evaluation:", kind: rate, margin: 0.05"#)
                == "②: error: name: 'evaluation:' needs a name behind it, such as evaluation:helpful [invalid-value]"
        )
    }

    @Test("A metric is of a kind of which there are samples, and which does not turn it round")
    func kinds() {
        let sizes = ["distribution", "count"]
        for name in ["success", "\"evaluation:helpful\""] {
            #expect(metric("name: \(name), kind: rate, margin: 0.05") == "")
            let shown = name.replacing("\"", with: "")
            for kind in sizes {
                #expect(
                    metric("name: \(name), kind: ②\(kind), margin: 20%") == """
                        ②: error: '\(shown)' must be a rate: of a \(kind), more would count as worse [wrong-metric-kind]
                          hint: write kind: rate
                        """
                )
            }
        }
        for name in ["cost", "tokens", "latency", "steps"] {
            for kind in sizes { #expect(metric("name: \(name), kind: \(kind), margin: 20%") == "") }
            #expect(
                metric("name: \(name), kind: ②rate, margin: 0.05") == """
                    ②: error: no run says '\(name)' as a rate: it is a size [wrong-metric-kind]
                      hint: write kind: distribution or count
                    """
            )
        }
        for name in ["tool-errors", "denied-calls"] {
            for kind in sizes + ["rate"] {
                #expect(metric("name: \(name), kind: \(kind), margin: 0.05") == "")
                #expect(
                    metric("name: \(name), kind: \(kind), margin: ②20%") == """
                        ②: warning: margin: where the stable version has no '\(name)', 20% of them is nothing, and a canary passes when fewer than 1 in 100 of its runs have any [share-of-nothing]
                          hint: write how many more may be, such as margin: 0.05
                        """
                )
            }
        }
    }

    @Test("A margin that no rate can differ by is said to pass nobody")
    func marginOfAll() {
        func warning(_ margin: String) -> String {
            "②: warning: margin: no rate is worse by \(margin), so that none is shown to be better than that: a canary never passes [margin-of-all]\n  hint: write 0.05 for five points, or leave the metric out"
        }
        for margin in ["1", "1.0", "100%", "1000%"] {
            #expect(metric("name: success, kind: rate, good: true, margin: ②\(margin)") == warning(margin))
        }
        for margin in ["0.99", "99%"] {
            #expect(metric("name: success, kind: rate, good: true, margin: \(margin)") == "")
        }
        #expect(metric("name: tool-errors, kind: rate, margin: ②1") == warning("1"))
        // A bad rate may double, and more.
        #expect(!metric("name: tool-errors, kind: rate, margin: 100%").contains("margin-of-all"))
    }

    @Test("Nobody can turn a metric round whose direction is known")
    func directions() {
        #expect(metric("name: success, kind: rate, good: true, margin: 0.05") == "")
        #expect(
            metric("name: success, kind: rate, good: ②false, margin: 0.05") == """
                ②: error: a high 'success' is good, and 'good: false' would promote what fails [wrong-direction]
                  hint: remove it
                """
        )
        for (name, kind) in [
            ("denied-calls", "rate"), ("tool-errors", "count"), ("latency", "distribution"), ("cost", "distribution"),
            ("tokens", "count"), ("steps", "count"),
        ] {
            #expect(metric("name: \(name), kind: \(kind), good: false, margin: 0.05") == "")
            #expect(
                metric("name: \(name), kind: \(kind), good: ②true, margin: 0.05") == """
                    ②: error: a low '\(name)' is good, and 'good: true' says the opposite [wrong-direction]
                      hint: remove it
                    """
            )
        }
        // A score of what is bad.
        #expect(metric("name: \"evaluation:toxic\", kind: rate, good: false, margin: 0.05") == "")
    }

    @Test("A rate of Prometheus says which way is good, and a size cannot be good when it is large")
    func directionsOfPrometheus() {
        #expect(
            metric(#"name: "prometheus:slo", kind: rate, margin: 0.05, query: up"#) == """
                ①: error: 'prometheus:slo' needs 'good': whether a high rate is good [missing-field]
                  hint: write good: true, or good: false if 1 is bad
                """
        )
        #expect(
            metric(#"name: "prometheus:score", kind: distribution, good: ②true, margin: 5%, query: up"#).hasPrefix(
                "②: error: 'good: true' is for rates: of a distribution, more always counts as worse [wrong-direction]"
            )
        )
    }

    @Test("Success and evaluations are good when high, though nobody says so; what is said of an evaluation counts")
    func decodedDirections() throws {
        for (fields, good) in [
            ("name: success", true), ("name: \"evaluation:a\"", true), ("name: \"evaluation:a\", good: false", false),
            ("name: denied-calls", nil),
        ] {
            var fleet = FleetFixture()
            fleet.replace(
                "keepFor: 7d",
                with:
                    "keepFor: 7d\n  rollout: {canary: {steps: [{weight: 5, hold: 1m}], analysis: {metrics: [{\(fields), kind: rate, margin: 0.1}]}}}",
                in: FleetFixture.environmentPath
            )
            guard case .canary(let canary)? = try fleet.fleet().environment("prod")?.value?.rollout else {
                Issue.record("no canary")
                continue
            }
            #expect(canary.analysis?.metrics.first?.good == good, "\(fields)")
        }
    }

    @Test("Rules for the samples of others may name anything, and may not turn success round either")
    func outsideSamples() {
        func rules(_ fields: String) -> (Analysis?, [String]) {
            let loaded = ManifestLoader.loadAnalysis(
                Array("metrics: [{\(fields), margin: 0.05}]\n".utf8),
                path: "rules.yaml"
            )
            return (loaded.value, loaded.findings.map(\.code))
        }
        for fields in [
            "name: speed, kind: rate", "name: speed, kind: distribution, good: true", "name: cost, kind: rate",
            "name: \"prometheus:a\", kind: rate, query: up", "name: \"evaluation:\", kind: distribution",
        ] {
            #expect(rules(fields).1 == [], "\(fields)")
            #expect(rules(fields).0?.metrics.first?.good != false)
        }
        #expect(rules("name: speed, kind: rate").0?.metrics.first?.good == nil)
        #expect(rules("name: success, kind: rate").0?.metrics.first?.good == true)
        #expect(rules("name: success, kind: rate, good: false").1 == ["wrong-direction"])
        #expect(rules("name: success, kind: distribution").1 == ["wrong-metric-kind"])
        #expect(rules("name: latency, kind: distribution, good: true").1 == ["wrong-direction"])
    }

    @Test("Metrics of telemetry have neither query nor step")
    func misplaced() {
        let hint = "  hint: remove it, or name the metric prometheus:<name>"
        #expect(
            metric("name: success, kind: rate, margin: 0.05, ②query: up, ③step: 1m") == """
                ②: error: 'query' belongs to metrics of Prometheus, and 'success' comes from telemetry [misplaced-field]
                \(hint)
                ③: error: 'step' belongs to metrics of Prometheus, and 'success' comes from telemetry [misplaced-field]
                \(hint)
                """
        )
    }

    @Test("A guard is on, off, or on and halts")
    func guards() {
        func guarded(_ text: String) -> String {
            check(
                "rollout: {canary: {steps: [{weight: 5, hold: 1m}], analysis: {metrics: [{name: success, kind: rate, margin: 0, guard: ①\(text)}]}}}"
            )
        }
        for text in ["true", "false", "halt", "\"halt\""] { #expect(guarded(text) == "", "\(text)") }
        let wanted = "guard must be true, false or halt"
        #expect(guarded("stop") == "①: error: \(wanted), and this is text [wrong-type]")
        #expect(guarded("1") == "①: error: \(wanted), and this is a number [wrong-type]")
        #expect(guarded("\"true\"") == "①: error: \(wanted), and this is text [wrong-type]")
        #expect(guarded("[halt]") == "①: error: \(wanted), and this is a list [wrong-type]")
        #expect(guarded("yes").hasPrefix("①: error: 'yes' is text here, and \(wanted) [ambiguous-scalar]"))
    }

    @Test("What a guard says is read as it is written")
    func decodedGuards() throws {
        for (text, guarding) in [("true", Analysis.Guarding.report), ("false", .off), ("halt", .halt)] {
            var fleet = FleetFixture()
            let metric = "{name: success, kind: rate, margin: 0.1, guard: \(text)}"
            fleet.replace(
                "keepFor: 7d",
                with:
                    "keepFor: 7d\n  rollout: {canary: {steps: [{weight: 5, hold: 1m}], analysis: {metrics: [\(metric)]}}}",
                in: FleetFixture.environmentPath
            )
            guard case .canary(let canary)? = try fleet.fleet().environment("prod")?.value?.rollout else {
                Issue.record("no canary")
                continue
            }
            #expect(canary.analysis?.metrics.first?.guarding == guarding)
        }
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

    @Test("A rule that could never halt anything is refused: the times of no more calls are kept")
    func mostCalls() {
        for (rule, more) in [("repeatedCall", ", within: 1m"), ("deniedCalls", ", within: 1m"), ("unknownTool", "")] {
            #expect(check("killSwitch: [{\(rule): 65536\(more)}]") == "")
            let said = check("killSwitch: [{\(rule): ①65537\(more)}]")
            #expect(said.contains("65536") || said.contains("65,536"), "\(said)")
        }
        #expect(check("killSwitch: [{steps: 100000}]") == "")
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
