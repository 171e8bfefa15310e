import EnsignJSON
package import EnsignModel
import Glibc

/// The result of a query to Prometheus.
package enum PrometheusOutcome<Value: Sendable & Hashable>: Sendable, Hashable {
    case value(Value)
    /// The query is fine and nothing matches it.
    case noData
    case error(PrometheusError)
}

/// Why a query has no answer.
package struct PrometheusError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable, CaseIterable {
        case down, slow
        /// The program that fetches is missing or failed.
        case client
        case tooLarge = "too-large"
        /// A status other than 200.
        case refused
        /// The answer is not what Prometheus answers.
        case garbage
        /// The value is NaN or infinite.
        case notFinite = "not-finite"
        case severalSeries = "several-series"
        /// More series than anyone reads.
        case tooManySeries = "too-many-series"
        /// The base URL is not one.
        case badURL = "bad-url"
    }

    package var code: Code
    /// Without credentials.
    package var message: String
    /// How often it was tried.
    package var attempts: Int

    package init(code: Code, message: String, attempts: Int) {
        self.code = code
        self.message = message
        self.attempts = attempts
    }

    package var description: String {
        "Prometheus: \(message)" + (attempts > 1 ? " (tried \(attempts) times)" : "")
    }
}

/// Asks a Prometheus server (https://prometheus.io/docs/prometheus/latest/querying/api/).
///
/// Blocks the calling thread, at most about `attempts` times `timeout`.
package struct PrometheusClient: Sendable {
    package struct Policy: Sendable {
        /// Of one attempt.
        package var timeout: Duration = .seconds(10)
        package var attempts = 3
        /// The wait after the first failure; doubled after each further one, plus or minus half.
        package var backoff: Duration = .milliseconds(250)
        /// Bytes of an answer.
        package var limit = 4 << 20
        /// Series of an answer.
        package var maxSeries = 1_000

        package init() {}
    }

    private let base: String
    private let policy: Policy
    private let fetch: HTTPFetch
    private let sleep: @Sendable (Duration) -> Void
    private let random: @Sendable () -> Double

    /// - Parameters:
    ///   - base: The operator's URL, `http://` or `https://`, without `/api/v1`.
    ///   - sleep: Waits between attempts.
    ///   - random: Numbers in 0 ..< 1 for the jitter.
    package init(
        base: String,
        policy: Policy = Policy(),
        fetch: @escaping HTTPFetch = Curl.fetch,
        sleep: @escaping @Sendable (Duration) -> Void = Self.sleepThread,
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) }
    ) {
        var base = base[...]
        while base.hasSuffix("/") { base = base.dropLast() }
        self.base = String(base)
        self.policy = policy
        self.fetch = fetch
        self.sleep = sleep
        self.random = random
    }

    /// Sleeps; a signal may end it early, which only makes the next attempt come sooner.
    package static func sleepThread(_ duration: Duration) {
        let parts = duration.components
        guard parts.seconds >= 0, parts.attoseconds >= 0 else { return }
        var time = timespec(tv_sec: Int(parts.seconds), tv_nsec: Int(parts.attoseconds / 1_000_000_000))
        unsafe nanosleep(&time, nil)
    }

    // MARK: - Queries

    /// The value of a query that gives one series or a scalar.
    ///
    /// - Parameter time: Nil is the server's present.
    package func query(_ text: String, at time: Moment? = nil) -> PrometheusOutcome<PrometheusPoint> {
        var path = "/api/v1/query?query=\(Self.escaped(text))&timeout=\(seconds(policy.timeout))"
        if let time { path += "&time=\(Self.seconds(time))" }
        return ask(path) { answer in
            switch answer["resultType"]?.string {
            case "scalar"?, "string"?:
                guard let value = answer["result"] else { return Self.garbage("no result") }
                return Self.point(value).flatMap(Self.finite)
            case "vector"?:
                return Self.onlySeries(answer).flatMap { series in
                    guard let value = series["value"] else { return Self.garbage("a series without a value") }
                    return Self.point(value).flatMap(Self.finite)
                }
            case let type:
                return Self.garbage("a result of the type \(type.map { "'\($0.cut(utf8: 20))'" } ?? "null")")
            }
        }
    }

    /// The series of a range query, as they come, with values that are not finite too; no data when there are none.
    ///
    /// - Parameter step: Above 0.
    package func series(
        _ text: String,
        from start: Moment,
        to end: Moment,
        step: Duration
    ) -> PrometheusOutcome<[PrometheusSeries]> {
        let path =
            "/api/v1/query_range?query=\(Self.escaped(text))&start=\(Self.seconds(start))&end=\(Self.seconds(end))"
            + "&step=\(seconds(step))&timeout=\(seconds(policy.timeout))"
        return ask(path) { answer in
            guard answer["resultType"]?.string == "matrix" else { return Self.garbage("not a matrix") }
            guard let results = answer["result"]?.array else { return Self.garbage("no result") }
            guard results.count <= policy.maxSeries else {
                return .error(
                    PrometheusError(
                        code: .tooManySeries,
                        message: "the query gives \(results.count) series, more than \(policy.maxSeries)",
                        attempts: 1
                    )
                )
            }
            var all: [PrometheusSeries] = []
            for result in results {
                switch Self.series(result) {
                case .value(let series): all.append(series)
                case .noData: break
                case .error(let error): return .error(error)
                }
            }
            return all.isEmpty ? .noData : .value(all)
        }
    }

    // MARK: - Asking

    private func ask<Value>(
        _ path: String,
        _ read: (JSONValue) -> PrometheusOutcome<Value>
    ) -> PrometheusOutcome<Value> {
        guard base.hasPrefix("http://") || base.hasPrefix("https://"), !base.contains("?"), !base.contains("#") else {
            return .error(
                PrometheusError(
                    code: .badURL,
                    message: "the base URL must begin with http:// or https:// and have no query",
                    attempts: 0
                )
            )
        }
        var attempt = 1
        while true {
            let (outcome, isTransient) = tryOnce(path, read)
            guard case .error(var error) = outcome else { return outcome }
            error.attempts = attempt
            guard isTransient, attempt < policy.attempts else { return .error(error) }
            sleep(policy.backoff * (1 << min(attempt - 1, 16)) * (0.5 + random()))
            attempt += 1
        }
    }

    private func tryOnce<Value>(
        _ path: String,
        _ read: (JSONValue) -> PrometheusOutcome<Value>
    ) -> (outcome: PrometheusOutcome<Value>, isTransient: Bool) {
        let response: HTTPResponse
        switch fetch(base + path, policy.timeout, policy.limit) {
        case .success(let answer): response = answer
        case .failure(let failure):
            let code: PrometheusError.Code =
                switch failure.kind {
                case .down: .down
                case .slow: .slow
                case .tooLarge: .tooLarge
                case .broken: .client
                }
            let error = PrometheusError(code: code, message: failure.message, attempts: 1)
            return (.error(error), failure.kind == .down || failure.kind == .slow)
        }
        let json = try? JSONParser.parse(response.body)
        guard response.status == 200 else {
            let reason = json?["error"]?.string.map { ": \($0.onOneLine(utf8: 200))" } ?? ""
            let error = PrometheusError(code: .refused, message: "HTTP status \(response.status)\(reason)", attempts: 1)
            return (.error(error), response.status >= 500 || response.status == 429)
        }
        guard let json, json["status"]?.string == "success", let data = json["data"] else {
            return (Self.garbage("not a successful answer in JSON"), false)
        }
        return (read(data), false)
    }

    // MARK: - Reading

    private static func garbage<Value>(_ what: String) -> PrometheusOutcome<Value> {
        .error(PrometheusError(code: .garbage, message: "the answer is not understood: \(what)", attempts: 1))
    }

    /// The most bytes of a label's name and value.
    private static let maxLabel = 256

    private static func series(_ json: JSONValue) -> PrometheusOutcome<PrometheusSeries> {
        guard let values = json["values"]?.array else { return garbage("a series without values") }
        guard let labels = json["metric"]?.object else { return garbage("a series without labels") }
        var series = PrometheusSeries(labels: [:], points: [])
        for (name, value) in labels {
            guard let value = value.string else { return garbage("a label that is not a text") }
            // A longer one is not ours, and a text of any size may take long to compare.
            guard name.utf8.count <= maxLabel, value.utf8.count <= maxLabel else { continue }
            series.labels[name] = value
        }
        series.points.reserveCapacity(values.count)
        for value in values {
            switch point(value) {
            case .value(let point): series.points.append(point)
            case .noData: break
            case .error(let error): return .error(error)
            }
        }
        return .value(series)
    }

    private static func onlySeries(_ answer: JSONValue) -> PrometheusOutcome<JSONValue> {
        guard let series = answer["result"]?.array else { return garbage("no result") }
        guard let first = series.first else { return .noData }
        guard series.count == 1 else {
            return .error(
                PrometheusError(
                    code: .severalSeries,
                    message: "the query gives \(series.count) series: it must give one, as sum(...) does",
                    attempts: 1
                )
            )
        }
        return .value(first)
    }

    /// `[<seconds>, "<value>"]`, the value as ``Double`` reads it, with `+Inf`, `-Inf` and `NaN`.
    private static func point(_ json: JSONValue) -> PrometheusOutcome<PrometheusPoint> {
        guard let time = json[0]?.double, time.magnitude < 9e9, let text = json[1]?.string, text.utf8.count <= 64,
            let value = Double(text)
        else { return garbage("a value that is not a pair of time and number") }
        // Prometheus writes milliseconds; a double of seconds holds them, and nothing certain beyond.
        let milliseconds = Int64((time * 1_000).rounded())
        return .value(PrometheusPoint(time: Moment(nanoseconds: milliseconds * 1_000_000), value: value))
    }

    private static func finite(_ point: PrometheusPoint) -> PrometheusOutcome<PrometheusPoint> {
        if point.value.isFinite { return .value(point) }
        return .error(
            PrometheusError(
                code: .notFinite,
                message: "the value is \(point.value), as when a rate is divided by a rate of 0",
                attempts: 1
            )
        )
    }

    /// Percent-encoded for a query: everything but RFC 3986's unreserved characters.
    static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default:
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Unix seconds with milliseconds.
    private static func seconds(_ time: Moment) -> String {
        decimal(milliseconds: time.nanoseconds / 1_000_000)
    }

    private func seconds(_ duration: Duration) -> String {
        let parts = duration.components
        return Self.decimal(milliseconds: max(1, parts.seconds * 1_000 + parts.attoseconds / 1_000_000_000_000_000))
    }

    private static func decimal(milliseconds: Int64) -> String {
        let digits = String(milliseconds.magnitude % 1_000)
        return (milliseconds < 0 ? "-" : "") + "\(milliseconds.magnitude / 1_000)."
            + String(repeating: "0", count: 3 - digits.count) + digits
    }
}

extension PrometheusOutcome {
    fileprivate func flatMap<Other>(_ next: (Value) -> PrometheusOutcome<Other>) -> PrometheusOutcome<Other> {
        switch self {
        case .value(let value): next(value)
        case .noData: .noData
        case .error(let error): .error(error)
        }
    }
}
