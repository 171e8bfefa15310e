import EnsignJSON
import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignTelemetry

/// Spans that real frameworks and instrumentations wrote while `make test-ecosystem` played docs/runtimes.md with them
/// (`Tests/Ecosystem/run.py --record`), with texts blanked; and beside each file what happened.
@Suite("What real frameworks wrote is counted exactly")
struct RecordedFrameworksTests {
    private static let folder =
        ((#filePath as NSString).deletingLastPathComponent as NSString).deletingLastPathComponent + "/Fixtures/spans"

    static let pairs =
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
        .filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()

    private struct Recorded {
        var context: Attribution.Context
        var environment: String
        /// What happened, by bundle.
        var expected: [Digest: [String: Int64]] = [:]
        var lines: [[TelemetryEvent]]
        var end = Moment(nanoseconds: 0)

        init(_ pair: String) throws {
            func bytes(_ ending: String) throws -> [UInt8] {
                Array(try Data(contentsOf: URL(fileURLWithPath: "\(RecordedFrameworksTests.folder)/\(pair).\(ending)")))
            }
            let json = try JSONParser.parse(try bytes("json"))
            let route = try #require(json["route"].flatMap { Route(json: $0) })
            environment = route.environment
            let model = "openai/gpt-5"
            context = Attribution.Context(
                routes: [route.agent: route],
                prices: Prices(models: [model: Prices.Price(input: 1, output: 10, cacheRead: nil, cacheWrite: nil)]),
                models: Dictionary(uniqueKeysWithValues: route.targets.map { ($0.digest, model) })
            )
            for target in route.targets {
                guard let counts = json["expected"]?[target.version.description]?.object else { continue }
                expected[target.digest] = Dictionary(
                    uniqueKeysWithValues: counts.compactMap { count in count.value.int.map { (count.key, $0) } }
                )
            }
            lines = try bytes("jsonl").split(separator: 0x0A).map { line in
                let (events, rejections) = parsed(bytes: Array(line))
                #expect(rejections.isEmpty)
                return events
            }
            for case .span(let span) in lines.joined() { end = max(end, span.end) }
        }

        /// Reads batches a moment apart, and then lets all time pass.
        func read(_ batches: [[TelemetryEvent]]) -> Attribution.Output {
            var attribution = Attribution(environment: environment)
            var output = Attribution.Output()
            for (index, events) in batches.enumerated() {
                var batch = TelemetryBatch()
                batch.events = events
                let now = Moment(nanoseconds: end.nanoseconds + 1_000_000 * Int64(index + 1))
                output.add(attribution.add(batch, at: now, context))
            }
            output.add(attribution.finish(context))
            return output
        }

        func check(_ output: Attribution.Output, _ order: Comment) {
            for (digest, counts) in expected {
                func values(_ metric: MetricName) -> [Double] {
                    output.samples.filter { $0.bundle == digest && $0.metric == metric }.map(\.value)
                }
                let runs = values(.success)
                #expect(Int64(runs.count) == counts["runs"], order)
                #expect(Int64(runs.count { $0 == 0 }) == counts["failures"], order)
                #expect(Int64(values(.steps).reduce(0, +)) == counts["calls"], order)
                #expect(Int64(values(.tokens).reduce(0, +)) == counts["tokens"], order)
                // 100 tokens in and 10 out of each answer, at 1 and 10 USD a million.
                let cost = Double(counts["tokens"] ?? 0) / 110 * 200e-6
                #expect(abs(values(.cost).reduce(0, +) - cost) < 1e-9, order)
            }
            #expect(output.samples.allSatisfy { expected[$0.bundle] != nil }, order)
        }
    }

    @Test("All pairs are there")
    func allPairs() { #expect(Self.pairs.count == 15) }

    @Test("As it was written", arguments: pairs)
    func asWritten(pair: String) throws {
        let recorded = try Recorded(pair)
        recorded.check(recorded.read(recorded.lines), "as written")
    }

    @Test("In any order, in lines of any size", arguments: pairs)
    func inAnyOrder(pair: String) throws {
        let recorded = try Recorded(pair)
        let events = Array(recorded.lines.joined())
        var random = SeededGenerator(for: "order of what \(pair) wrote", standard: 11)
        for round in 0..<12 {
            let order = round == 0 ? events.reversed() : events.shuffled(using: &random)
            var (batches, rest): ([[TelemetryEvent]], ArraySlice) = ([], order[...])
            while !rest.isEmpty {
                let size = Int.random(in: 1...20, using: &random)
                batches.append(Array(rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            recorded.check(recorded.read(batches), "round \(round)")
        }
    }
}
