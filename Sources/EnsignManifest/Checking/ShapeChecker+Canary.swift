import EnsignModel
import EnsignYAML

/// Checks of a canary's steps and deadline together.
extension ShapeChecker {
    mutating func checkCanary(_ node: Int) {
        guard let list = tape.value(in: node, for: Array("steps".utf8)), tape.kind(of: list) == .sequence else {
            return
        }
        var steps: [Int] = []
        tape.forEachElement(of: list) { steps.append($0) }
        checkGrowth(steps)
        if tape.value(in: node, for: Array("analysis".utf8)) != nil { checkComparison(steps) }
        checkDeadline(node, steps)
    }

    /// The weight never falls: a step no larger than the one before would be skipped, along with its hold.
    private mutating func checkGrowth(_ steps: [Int]) {
        var largest: Int64?
        for step in steps where tape.kind(of: step) == .mapping {
            guard let weight = tape.value(in: step, for: Array("weight".utf8)), tape.kind(of: weight) == .plain,
                case .integer(let value) = Scalar(plain: tape.bytes(of: weight))
            else { continue }
            if let before = largest, value <= before {
                error(
                    "weight-not-growing",
                    "weight: each step takes more sessions than the one before, and \(value) comes after \(before)",
                    weight,
                    hint: "write more than \(before), or remove the step"
                )
            }
            largest = max(largest ?? value, value)
        }
    }

    /// With all sessions on the candidate the stable version gives no more samples.
    private mutating func checkComparison(_ steps: [Int]) {
        for step in steps where tape.kind(of: step) == .mapping {
            guard let weight = scalar("weight", in: step), tape.kind(of: weight.node) == .plain, weight.text == "100"
            else { continue }
            findings.add(
                .warning,
                "nothing-to-compare",
                "weight: at 100 no session takes the stable version, so the analysis has only what it laid by",
                at: Position(tape.mark(of: weight.node)),
                hint: "end below 100: when the analysis passes, the candidate takes every session"
            )
        }
    }

    /// A deadline says when a verdict must exist. It may be before the last hold ends, but that is usually a mistake,
    /// so it is reported; with no time at all there can be no verdict.
    private mutating func checkDeadline(_ node: Int, _ steps: [Int]) {
        guard let analysis = tape.value(in: node, for: Array("analysis".utf8)), tape.kind(of: analysis) == .mapping,
            let deadline = scalar("deadline", in: analysis), let span = TimeSpan(deadline.text)
        else { return }
        guard span.milliseconds > 0 else {
            return error(
                "deadline-too-short",
                "deadline: \(span) leaves no time for a verdict",
                deadline.node,
                hint: "write how long to wait for a verdict, or remove it"
            )
        }
        var sum: Int64 = 0
        for step in steps {
            guard tape.kind(of: step) == .mapping, let hold = scalar("hold", in: step).flatMap({ TimeSpan($0.text) })
            else { return }
            // 50 steps of 100 years at most.
            sum += hold.milliseconds
        }
        guard span.milliseconds < sum else { return }
        findings.add(
            .warning,
            "deadline-too-short",
            "deadline: \(span) is over before the last hold is",
            at: Position(tape.mark(of: deadline.node)),
            hint:
                "the holds take \(TimeSpan.short(milliseconds: sum)) together; without a verdict by then 'onInconclusive' decides"
        )
    }
}
