package import EnsignModel

/// Unread points of one metric of a canary.
///
/// Point `n`, with `n` from 1, is `n` steps after the moment from which evidence counts: the points do not depend on
/// when somebody looks, so each counts once.
package struct SeriesRequest: Sendable, Hashable {
    package var canary: WatchedCanary
    package var metric: String
    package var kind: Analysis.Kind
    package var query: PrometheusQuery
    /// How many points were read before; the request starts with the next one.
    package var taken: Int64
    /// The last requested point.
    package var last: Int64
    /// The last point that can be requested now.
    package var settled: Int64

    /// The most points of one request: with a few dozen series its answer stays below the client's limit.
    package static let maxPoints: Int64 = 2_000

    /// - Returns: Nil when there is nothing to ask yet.
    init?(_ canary: WatchedCanary, _ metric: Analysis.Metric, taken: Int64, now: Moment) {
        guard let query = metric.query else { return nil }
        let step = max(query.step.milliseconds, 1)
        let passed = now.nanoseconds(since: Moment(canary.since)) / 1_000_000
        // The latest scrape may not be stored yet, and clocks differ a little: one step to settle.
        let settled = passed / step - 1
        guard taken >= 0, settled > taken else { return nil }
        self.canary = canary
        self.metric = metric.name
        kind = metric.kind
        self.query = query
        self.taken = taken
        last = min(settled, taken + Self.maxPoints)
        self.settled = settled
    }

    /// When the point after those already taken can be requested.
    static func due(_ canary: WatchedCanary, _ query: PrometheusQuery, taken: Int64) -> Moment {
        let point = taken.adding(saturating: 2)
        return Moment(canary.since).advanced(milliseconds: point.multiplied(saturating: query.step.milliseconds))
    }

    /// The number of unread points.
    var missing: Int64 { settled - taken }

    package var start: Moment { moment(taken + 1) }
    package var end: Moment { moment(last) }

    /// The next request of the same kind, once this one is answered; nil when there is nothing more to request.
    package var following: SeriesRequest? {
        guard settled > last else { return nil }
        var next = self
        next.taken = last
        next.last = min(settled, last + Self.maxPoints)
        return next
    }

    private func moment(_ point: Int64) -> Moment {
        Moment(canary.since).advanced(milliseconds: point.multiplied(saturating: query.step.milliseconds))
    }
}

/// The result of a request.
package struct SeriesAnswer: Sendable, Hashable {
    package var request: SeriesRequest
    package var outcome: Outcome

    package enum Outcome: Sendable, Hashable {
        /// Sorted by point, the stable version first. Empty when nothing matches, which is not a failure.
        case samples([Sample])
        /// Why there is no usable answer.
        case unreadable(String)
    }

    /// One point of one version.
    package struct Sample: Sendable, Hashable {
        package var point: Int64
        package var variant: Variant
        package var value: Double

        package init(point: Int64, variant: Variant, value: Double) {
            self.point = point
            self.variant = variant
            self.value = value
        }
    }

    package init(_ request: SeriesRequest, _ outcome: Outcome) {
        self.request = request
        self.outcome = outcome
    }
}

// MARK: - Reading

/// Why series cannot be used.
private struct Unreadable: Error {
    var why: String
    init(_ why: String) { self.why = why }
}

extension SeriesRequest {
    /// The label that tells versions apart: the digest of the bundle, in full.
    package static let bundleLabel = "ensign_bundle"
    /// The label that is used if that one is missing.
    package static let versionLabel = "version"

    /// Makes samples of an answer's series.
    ///
    /// Series of other versions are left out, and so are values that are not numbers, as when nothing happened.
    /// Ambiguous series are not evidence for either side.
    package func read(_ all: [PrometheusSeries]) -> SeriesAnswer.Outcome {
        do throws(Unreadable) {
            var found: [Variant: [PrometheusPoint]] = [:]
            for series in all {
                guard let variant = try variant(series) else { continue }
                guard found[variant] == nil else {
                    throw Unreadable(
                        "the query gives several series of the \(variant.rawValue) version: put them together, "
                            + "as 'max by (\(Self.versionLabel)) (...)' does"
                    )
                }
                found[variant] = series.points
            }
            var samples = try samples(found[.stable] ?? [], .stable)
            samples += try self.samples(found[.canary] ?? [], .canary)
            return .samples(samples.sorted { ($0.point, $0.variant.order) < ($1.point, $1.variant.order) })
        } catch {
            return .unreadable(error.why)
        }
    }

    /// Nil for a version that is neither of the two.
    private func variant(_ series: PrometheusSeries) throws(Unreadable) -> Variant? {
        if let text = series.labels[Self.bundleLabel], !text.isEmpty {
            guard let digest = Digest(text) else {
                throw Unreadable(
                    "the label \(Self.bundleLabel) is \(text.quoted(utf8: 80)), which is not a digest of a bundle"
                )
            }
            return digest == canary.candidate ? .canary : digest == canary.stable ? .stable : nil
        }
        guard let version = series.labels[Self.versionLabel], !version.isEmpty else {
            throw Unreadable(
                "a series has neither the label \(Self.bundleLabel) nor \(Self.versionLabel): the query must keep one, "
                    + "as 'by (\(Self.versionLabel))' does"
            )
        }
        let isCandidate = version == canary.candidateVersion.description
        guard version == canary.stableVersion.description else { return isCandidate ? .canary : nil }
        guard !isCandidate else {
            throw Unreadable(
                "both versions are \(version.onOneLine(utf8: 80)): tell them apart by the label \(Self.bundleLabel)"
            )
        }
        return .stable
    }

    private func samples(_ points: [PrometheusPoint], _ variant: Variant) throws(Unreadable) -> [SeriesAnswer.Sample] {
        let step = max(query.step.milliseconds, 1)
        var samples: [SeriesAnswer.Sample] = []
        var before = taken
        for point in points {
            let passed = point.time.nanoseconds(since: Moment(canary.since)) / 1_000_000
            let (number, rest) = passed.quotientAndRemainder(dividingBy: step)
            guard rest == 0, number > before, number <= last else {
                throw Unreadable("the answer has a point that was not asked for")
            }
            before = number
            guard !point.value.isNaN else { continue }
            if kind == .rate, point.value != 0, point.value != 1 {
                throw Unreadable("a rate is 0 or 1 at each step, as '> bool' gives, and this is \(point.value)")
            }
            samples.append(SeriesAnswer.Sample(point: number, variant: variant, value: point.value))
        }
        return samples
    }
}

extension Variant {
    fileprivate var order: Int { self == .stable ? 0 : 1 }
}
