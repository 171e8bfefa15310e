import EnsignModel
import EnsignYAML

/// What a metric's name implies for its other fields.
///
/// A metric that is judged the wrong way round promotes broken candidates, so none of these rules is a matter of taste.
extension ShapeChecker {
    /// The metric's name distinguishes samples: of two metrics with one name, the second would never get any.
    mutating func checkUnique(_ metrics: ArraySlice<Int>) {
        var names: Set<String> = []
        for metric in metrics where tape.kind(of: metric) == .mapping {
            guard let name = scalar("name", in: metric) else { continue }
            if !names.insert(name.text).inserted {
                error("duplicate-metric", "the metric '\(name.text)' is there twice", name.node)
            }
        }
    }

    mutating func checkMetric(_ node: Int) {
        guard let name = scalar("name", in: node) else { return }
        checkQuery(node, name)
        let kind = scalar("kind", in: node)
        let judged = kind.flatMap { Analysis.Kind(rawValue: $0.text) }
        if judged == .rate { checkRateMargin(node) }
        guard let metric = MetricName(name.text) else { return checkUnknown(name) }
        if judged == .rate { checkMarginOfAll(node, metric) }
        if let kind, let judged, !metric.kinds.contains(judged) { checkKind(metric, judged, kind.node) }
        if let judged { checkDirection(node, metric, judged) }
        checkShareOfNothing(node, metric)
    }

    // MARK: Name

    private mutating func checkUnknown(_ name: (text: String, node: Int)) {
        switch name.text {
        case MetricName.prometheusPrefix:
            error(
                "invalid-value",
                "name: 'prometheus:' needs a name behind it, such as prometheus:queue-age",
                name.node
            )
        case _ where takesAnyMetric: return
        case MetricName.evaluationPrefix:
            error("invalid-value", "name: 'evaluation:' needs a name behind it, such as evaluation:helpful", name.node)
        default:
            let known = MetricName.builtIn.map(\.description)
            error(
                "unknown-metric",
                "nothing measures '\(name.text.cut(utf8: 80))'",
                name.node,
                hint: Suggestion.nearest(to: name.text, in: known).map { "did you mean '\($0)'?" }
                    ?? "metrics: \(known.joined(separator: ", ")), evaluation:<name>, prometheus:<name>"
            )
        }
    }

    /// `query` and `step` belong to Prometheus metrics, which require `query`.
    private mutating func checkQuery(_ node: Int, _ name: (text: String, node: Int)) {
        if name.text.hasPrefix(MetricName.prometheusPrefix) {
            guard tape.isComplete, tape.value(in: node, for: Array("query".utf8)) == nil else { return }
            error("missing-field", "'\(name.text)' needs 'query': the PromQL that measures it", node)
        } else {
            tape.forEachPair(of: node) { key, _ in
                let field = ["query", "step"].first { tape.matches(key, Array($0.utf8)) }
                guard let field else { return }
                error(
                    "misplaced-field",
                    "'\(field)' belongs to metrics of Prometheus, and '\(name.text)' comes from telemetry",
                    key,
                    hint: "remove it, or name the metric prometheus:<name>"
                )
            }
        }
    }

    // MARK: Kind and direction

    private mutating func checkKind(_ metric: MetricName, _ kind: Analysis.Kind, _ node: Int) {
        switch metric.better {
        case .high:
            error(
                "wrong-metric-kind",
                "'\(metric)' must be a rate: of a \(kind.rawValue), more would count as worse",
                node,
                hint: "write kind: rate"
            )
        case .low, .unknown:
            // Samples from outside may be of any kind.
            guard !takesAnyMetric else { return }
            let kinds = metric.kinds.map(\.rawValue).joined(separator: " or ")
            error(
                "wrong-metric-kind",
                "no run says '\(metric)' as a \(kind.rawValue): it is a size",
                node,
                hint: "write kind: \(kinds)"
            )
        }
    }

    private mutating func checkDirection(_ node: Int, _ metric: MetricName, _ kind: Analysis.Kind) {
        guard let good = boolean("good", in: node) else {
            guard metric.better == .unknown, kind == .rate, !takesAnyMetric, tape.isComplete,
                tape.value(in: node, for: Array("good".utf8)) == nil
            else { return }
            return error(
                "missing-field",
                "'\(metric)' needs 'good': whether a high rate is good",
                node,
                hint: "write good: true, or good: false if 1 is bad"
            )
        }
        switch (metric, metric.better, good.value) {
        case (.success, _, false):
            error(
                "wrong-direction",
                "a high 'success' is good, and 'good: false' would promote what fails",
                good.node,
                hint: "remove it"
            )
        case (_, .low, true):
            error(
                "wrong-direction",
                "a low '\(metric)' is good, and 'good: true' says the opposite",
                good.node,
                hint: "remove it"
            )
        case (_, .unknown, true) where kind != .rate && !takesAnyMetric:
            error(
                "wrong-direction",
                "'good: true' is for rates: of a \(kind.rawValue), more always counts as worse",
                good.node,
                hint: "make the query give 0 or 1 and write kind: rate, or measure what should be small"
            )
        // An evaluator may score what is bad, such as toxicity.
        case (_, .high, _), (_, .low, false), (_, .unknown, _): break
        }
    }

    /// A rate can differ by 1 at most, so nothing would ever be worse by more.
    private mutating func checkRateMargin(_ node: Int) {
        guard let margin = scalar("margin", in: node), tape.kind(of: margin.node) == .plain else { return }
        let value: Double
        switch Scalar(plain: tape.bytes(of: margin.node)) {
        case .integer(let integer): value = Double(integer)
        case .number(let number): value = number
        case .null, .boolean, .text, .ambiguous, .outOfRange: return
        }
        // A value that is not a margin at all has already been reported.
        guard value > 1, value <= 1_000_000_000 else { return }
        error(
            "out-of-range",
            "margin: a rate is from 0 to 1, and no candidate is worse by \(margin.text.cut(utf8: 40))",
            margin.node,
            hint: "write 0.05 for five points, or 5% for a share of the stable version's rate"
        )
    }

    /// A good rate cannot fall by all of itself, nor any by more than 1: nothing shows that it fell by less.
    private mutating func checkMarginOfAll(_ node: Int, _ metric: MetricName) {
        guard let margin = scalar("margin", in: node) else { return }
        let isGood = boolean("good", in: node)?.value ?? (metric.better == .high)
        let isAll: Bool
        if margin.text.hasSuffix("%") {
            isAll = isGood && Double(margin.text.dropLast()).map { (100...1_000).contains($0) } ?? false
        } else {
            isAll = Double(margin.text) == 1
        }
        guard isAll else { return }
        findings.add(
            .warning,
            "margin-of-all",
            "margin: no rate is worse by \(margin.text.prefix(40)), so that none is shown to be better than that: a canary never passes",
            at: Position(tape.mark(of: margin.node)),
            hint: "write 0.05 for five points, or leave the metric out"
        )
    }

    /// These errors are usually at zero, and a share of them is nothing: the judge then asks how often they come at all.
    private mutating func checkShareOfNothing(_ node: Int, _ metric: MetricName) {
        guard metric == .toolErrors || metric == .deniedCalls, !takesAnyMetric,
            let margin = scalar("margin", in: node), margin.text.hasSuffix("%")
        else { return }
        findings.add(
            .warning,
            "share-of-nothing",
            "margin: where the stable version has no '\(metric)', \(margin.text.prefix(40)) of them is nothing, and a canary passes when fewer than 1 in 100 of its runs have any",
            at: Position(tape.mark(of: margin.node)),
            hint: "write how many more may be, such as margin: 0.05"
        )
    }

    // MARK: Reading

    func scalar(_ field: String, in node: Int) -> (text: String, node: Int)? {
        guard let value = tape.value(in: node, for: Array(field.utf8)),
            tape.kind(of: value) == .plain || tape.kind(of: value) == .quoted
        else { return nil }
        return (tape.string(of: value), value)
    }

    private func boolean(_ field: String, in node: Int) -> (value: Bool, node: Int)? {
        guard let value = tape.value(in: node, for: Array(field.utf8)), tape.kind(of: value) == .plain,
            case .boolean(let boolean) = Scalar(plain: tape.bytes(of: value))
        else { return nil }
        return (boolean, value)
    }
}
