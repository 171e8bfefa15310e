import EnsignJSON
import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignJudge

/// What the judge makes of the order in which samples come, and of sessions.
@Suite("Order and sessions")
struct OrderTests {
    @Test("Versions with files of their own, read after a pause, are judged as if they had been read as they ran")
    func filesOfTheirOwn() throws {
        var random = SeededGenerator(for: "filesOfTheirOwn", standard: 81)
        let canary = try watched(rateMetric(), weight: 20, steps: [20])
        let trials = 300
        var failed = 0
        for _ in 0..<trials {
            // Something that concerns both versions alike gets better in the middle.
            var (stable, candidate): ([Sample], [Sample]) = ([], [])
            for run in 0..<500 {
                let value = random.outcome(run < 250 ? 0.8 : 0.98)
                if random.once(in: 5) {
                    candidate.append(canary.sample(.canary, at: Int64(run), value))
                } else {
                    stable.append(canary.sample(.stable, at: Int64(run), value))
                }
            }
            var analyst = CanaryAnalyst(json: nil, canaries: [canary])
            analyst.take(stable + candidate)
            if analyst.verdict(canary).outcome == .fail { failed += 1 }
        }
        #expect(failed <= mostOf(trials, 0.05), "\(failed) of \(trials)")
    }

    @Test("Samples of one moment stay in the order in which they were read")
    func stable() throws {
        let canary = try watched(rateMetric())
        let samples = [5, 3, 3, 9, 1, 3].enumerated().map { canary.sample(.canary, at: $1, Double($0)) }
        #expect(samples.inOrderOfTime.map(\.value) == [4, 1, 2, 5, 0, 3])
        #expect(samples.inOrderOfTime.inOrderOfTime == samples.inOrderOfTime)
        #expect([Sample]().inOrderOfTime.isEmpty)
    }

    @Test("The runs of one session count once, so that the errors hold where they depend on each other")
    func sessions() throws {
        var random = SeededGenerator(for: "sessions", standard: 82)
        let canary = try watched(rateMetric(), weight: 20, steps: [20])
        let trials = 150
        func failures(named: Bool) -> Int {
            var failed = 0
            for _ in 0..<trials {
                var analyst = CanaryAnalyst(json: nil, canaries: [canary])
                var samples: [Sample] = []
                for session in 0..<240 {
                    // Sessions are easy or hard: ten runs of each depend on each other.
                    let rate = random.once(in: 4) ? 0.6 : 1.0
                    let variant: Variant = random.once(in: 5) ? .canary : .stable
                    for run in 0..<10 {
                        samples.append(
                            canary.sample(
                                variant,
                                at: Int64(session * 5 + run * 7),
                                random.outcome(rate),
                                session: named ? UInt64(session) : nil
                            )
                        )
                    }
                }
                analyst.take(samples)
                if analyst.verdict(canary).outcome == .fail { failed += 1 }
            }
            return failed
        }
        #expect(failures(named: true) <= mostOf(trials, 0.05))
        // What it is for.
        #expect(failures(named: false) > mostOf(trials, 0.05))
    }

    @Test(
        "Each session counts once for each metric and version, also after a restart, and it is said how many were left out"
    )
    func sessionWindow() throws {
        let canary = try watched(rateMetric(), costMetric())
        var analyst = CanaryAnalyst(json: nil, canaries: [canary])
        analyst.take([
            canary.sample(.canary, at: 1, 1, session: 7), canary.sample(.canary, at: 1, 0.5, .cost, session: 7),
            canary.sample(.canary, at: 2, 0, session: 7), canary.sample(.stable, at: 3, 1, session: 7),
        ])
        analyst = CanaryAnalyst(json: try JSONParser.parse(analyst.json.canonicalBytes()), canaries: [canary])
        analyst.take([canary.sample(.canary, at: 4, 0, session: 7), canary.sample(.canary, at: 5, 1)])
        let verdict = analyst.verdict(canary)
        let metrics = Dictionary(uniqueKeysWithValues: (verdict.report?.metrics ?? []).map { ($0.name, $0) })
        #expect(metrics["success"]?.canary.count == 2 && metrics["success"]?.stable.count == 1)
        #expect(metrics["success"]?.canary.mean == 1)
        #expect(metrics["cost"]?.canary.count == 1 && metrics["cost"]?.stable.count == 0)
        #expect(verdict.notes.count == 2)
        #expect(verdict.notes.first?.hasPrefix("2 samples of sessions that had counted before left out") == true)
        #expect(verdict.notes.last?.hasPrefix("1 sample without a session") == true)
    }

    @Test("The memory of sessions is bounded")
    func bounded() throws {
        let canary = try watched(rateMetric())
        var window = SessionWindow()
        func admits(_ session: UInt64) -> Bool {
            window.admits(canary.sample(.canary, at: 0, 1, session: session), metricAt: 0)
        }
        let admitted = (0..<10_000).count { admits(UInt64($0)) }
        #expect(admitted == 10_000)
        #expect(window.json.canonicalBytes().count < 50_000)
        let (newest, oldest) = (admits(9_999), admits(0))
        #expect(!newest && oldest)
        #expect(SessionWindow(json: window.json) == window)
    }
}
