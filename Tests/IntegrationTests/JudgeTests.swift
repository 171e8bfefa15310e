import EnsignTestSupport
import Foundation
import Testing

/// `ensign judge` as scripts use it.
@Suite struct JudgeTests {
    private let rules = """
        metrics:
          - {name: success, kind: rate, good: true, margin: 0.05}
          - {name: cost, kind: distribution, unit: USD, margin: 50%}
        confidence: 0.95
        """

    private func judge(_ input: String, rules: String? = nil) throws -> CommandResult {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/rules.yaml"
        try (rules ?? self.rules).write(toFile: path, atomically: true, encoding: .utf8)
        return try run(Host.ensign, ["judge", "--rules", "rules.yaml"], in: scratch.path, input: input)
    }

    /// Four trials: a good canary, one that breaks down, one that costs twice as much, and one that is hardly measured.
    private var samples: String {
        var random = SeededGenerator(seed: 7)
        var lines: [String] = []
        func add(_ trial: String, _ metric: String, _ variant: String, _ value: String) {
            lines.append(#"{"trial":"\#(trial)","metric":"\#(metric)","variant":"\#(variant)","value":\#(value)}"#)
        }
        for index in 0..<900 {
            for (trial, failures, factor) in [("good", 25, 1), ("broken", 2, 1), ("dear", 25, 2)] {
                let cost = 10 + random.int(0...40)
                let dear = (10 + random.int(0...40)) * factor
                add(trial, "success", "stable", random.once(in: 25) ? "0" : "1")
                add(trial, "success", "canary", random.once(in: failures) ? "0" : "1")
                add(trial, "cost", "stable", "0.\(String(format: "%03d", cost))")
                add(trial, "cost", "canary", "0.\(String(format: "%03d", dear))")
            }
            if index == 3 {
                lines += [
                    #"{"metric":"success","variant":"stable","value":1}"#,
                    "",
                    "no json",
                    #"{"trial":"t\u00e4g","metric":"cost","variant":"canary","value":NaN}"#,
                    #"{"trial":"t\u00e4g","metric":"cost","variant":"canary","value":-1e0}"#,
                    #"{"trial":"t\u00e4g","metric":"speed","variant":"canary","value":1}"#,
                    #"{"trial":"t\u00e4g","metric":"success","variant":"third","value":1}"#,
                    #" { "value" : 1 , "variant" : "canary" , "metric" : "success" , "more" : [1] , "trial" : "t\u00e4g" } "#,
                ]
            }
        }
        return lines.joined(separator: "\n")
    }

    @Test("Verdicts, one canonical line for each trial in order of first appearance")
    func golden() throws {
        let result = try judge(samples)
        #expect(result.status == 0)
        let expected = try Golden("judge.jsonl").expected(recording: Array(result.output.utf8))
        #expect(expected.map { String(decoding: $0, as: UTF8.self) } == result.output)
        let verdicts = try result.output.split(separator: "\n").map { line in
            try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
        #expect(verdicts.map { $0["trial"] as? String } == ["good", "broken", "dear", nil, "täg"])
        #expect(verdicts.map { $0["verdict"] as? String } == ["pass", "fail", "fail", "no-data", "no-data"])
        #expect(verdicts.map { $0["lines"] as? Int }.last == 4)
        #expect(
            result.errors == """
                standard input:51: not JSON: invalid literal
                standard input:52: the value is not a measurement of a distribution; counted as rejected
                standard input:53: the value is not a measurement of a distribution; counted as rejected
                standard input:54: the rules have no metric 'speed'
                standard input:55: 'variant' is neither "stable" nor "canary"

                """
        )
    }

    @Test("Bad rules are diagnostics with positions, exit 3")
    func badRules() throws {
        let result = try judge("", rules: "metrics:\n  - {name: success, kind: rat, margin: 0.05}\nconfidnce: 0.9\n")
        #expect(result.status == 3)
        #expect(result.output.isEmpty)
        #expect(result.errors.contains("rules.yaml:2:27: error: "))
        #expect(result.errors.contains("rules.yaml:3:1: error: unknown field 'confidnce' [unknown-field]"))
        let twice = try judge(
            "",
            rules: "metrics: [{name: a, kind: rate, margin: 1%}, {name: a, kind: rate, margin: 1%}]\n"
        )
        #expect(twice.status == 3)
        #expect(twice.errors.contains("rules.yaml:1:53: error: the metric 'a' is there twice [duplicate-metric]"))
    }

    @Test("No lines, no verdicts; long lines and a missing last newline do no harm")
    func odd() throws {
        #expect(try judge("").output.isEmpty)
        let long = String(repeating: "x", count: 400_000)
        let result = try judge("\(long)\n" + #"{"metric":"success","variant":"canary","value":1}"#)
        #expect(result.status == 0)
        #expect(result.output.contains(#""lines":1"#))
        #expect(result.output.contains(#""trial":null"#))
        #expect(result.errors.contains("standard input:1: longer than 64 KiB"))
    }
}
