import EnsignJSON
import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignJudge

extension GuardBook {
    /// Read long after it happened.
    mutating func take(_ sample: Sample, _ version: GuardedVersion) -> BehaviourDrift? {
        take(sample, version, now: Moment(nanoseconds: .max))
    }
}

@Suite("The guard of stable versions")
struct GuardTests {
    private let agent = AgentID.triage

    private func side(_ number: Character) -> Change.Side {
        Change.Side(version: version("1.\(number).0"), digest: digest(number))
    }

    private func guarded(
        _ side: Change.Side,
        _ metrics: [Analysis.Metric] = [rateMetric(0.1)],
        halting: Bool = false,
        confidence: Double = 0.95
    ) throws -> GuardedVersion {
        let metrics = metrics.map { metric in
            var metric = metric
            metric.guarding = halting ? .halt : .report
            return metric
        }
        let rules = Analysis(metrics: metrics, confidence: confidence, deadline: nil, onInconclusive: .hold)
        return try #require(GuardedVersion(agent, side, rules))
    }

    private func sample(
        _ value: Double,
        of side: Change.Side,
        at second: Int64,
        metric: MetricName = .success
    ) -> Sample {
        Sample(
            agent: agent,
            environment: "prod",
            bundle: side.digest,
            metric: metric,
            value: value,
            occurred: metric == .success ? value == 1 : nil,
            time: Moment(Timestamp(seconds: second)),
            started: Moment(Timestamp(seconds: second - 1))
        )
    }

    // MARK: Baselines

    @Test("A baseline that is recorded a sample at a time is the mean and its bound; of sizes the cap comes first")
    func streaming() throws {
        var random = SeededGenerator(for: "streaming", standard: 61)
        var rate = BaselineBuilder(rateMetric(), length: 200)
        var size = BaselineBuilder(costMetric(), length: 400)
        let outcomes = (0..<200).map { _ in random.outcome(0.9) }
        let costs = (0..<400).map { _ in random.lognormal() }
        for (index, value) in outcomes.enumerated() {
            #expect(rate.count == index && rate.baseline(error: 0.05) == nil)
            // What cannot be a measurement is counted, and nothing else.
            rate.add(0.5)
            rate.add(value)
        }
        for value in costs { size.add(value) }
        size.add(1e9)
        #expect(rate.rejected == 200)
        let ofRate = try #require(rate.baseline(error: 0.05))
        #expect(ofRate.mean == outcomes.map { 1 - $0 }.reduce(0, +) / 200)
        var interval = DifferenceInterval()
        for value in outcomes { interval.add(stable: 0, canary: 1 - value) }
        #expect(ofRate.bound == interval.bounds(scale: 0, error: 0.025).high)
        #expect(ofRate.bound > ofRate.mean && ofRate.cap == 1 && ofRate.count == 200)
        #expect(ofRate == Baseline(rateMetric(), outcomes, error: 0.05))
        let ofSize = try #require(size.baseline(error: 0.05))
        var history = LevelHistogram()
        for value in costs.prefix(200) { history.add(value) }
        #expect(ofSize.cap == SizeBets.worsened(history.quantile(0.98), .relative(0.2)))
        let scores = costs.dropFirst(200).map { min($0 / ofSize.cap, 1) }
        #expect(ofSize.mean == scores.reduce(0, +) / 200)
        #expect(ofSize == Baseline(costMetric(), costs, error: 0.05))
    }

    // MARK: Drift

    @Test("A fall though nothing was deployed is seen once, with numbers; another version begins anew")
    func drift() throws {
        var random = SeededGenerator(for: "drift", standard: 62)
        var book = GuardBook()
        let version = try guarded(side("1"))
        var second: Int64 = 1_000_000
        var found: [BehaviourDrift] = []
        func run(_ count: Int, _ rate: Double, _ version: GuardedVersion, of side: Change.Side) {
            for _ in 0..<count {
                second += 1
                if let drift = book.take(sample(random.outcome(rate), of: side, at: second), version) {
                    found.append(drift)
                }
            }
        }
        run(150, 0.97, version, of: side("1"))
        // A canary's samples are somebody else's business.
        run(300, 0.1, version, of: side("2"))
        #expect(book.explanations(agent) == ["success: its baseline is being recorded: 150 of 200 samples"])
        run(250, 0.97, version, of: side("1"))
        #expect(found.isEmpty)
        run(120, 0.6, version, of: side("1"))
        try #require(found.count == 1)
        let drift = found[0]
        #expect(drift.sentence.hasPrefix("success: the stable version drifted although nothing was deployed: "))
        #expect(!drift.halts)
        let change = drift.change
        #expect(change.driftedMetric == "success" && change.from == change.to && change.kind == .behaviour)
        let before = try #require(change.evidence?.json["baseline"]?["value"]?.double)
        let since = try #require(change.evidence?.json["since"]?["value"]?.double)
        #expect((0.93...1).contains(before) && (0.3...0.85).contains(since), "\(before) \(since)")
        #expect(change.evidence?.json["baseline"]?["samples"]?.int == 400)
        #expect(BehaviourDrift(json: try JSONParser.parse(drift.json.canonicalBytes())) == drift)
        run(500, 0.3, version, of: side("1"))
        #expect(found.count == 1)
        // The next version is compared with itself.
        let next = try guarded(side("2"))
        run(600, 0.6, next, of: side("2"))
        #expect(found.count == 1)
        #expect(book.explanations(agent)[0].contains("no drift"))
    }

    @Test("What is guarded otherwise begins anew; what is done about a drift does not")
    func declarations() throws {
        var book = GuardBook()
        func feed(_ version: GuardedVersion) -> String {
            for second in 0..<10 { _ = book.take(sample(1, of: side("1"), at: Int64(second)), version) }
            return book.explanations(agent)[0]
        }
        #expect(feed(try guarded(side("1"))).contains("10 of 200"))
        #expect(feed(try guarded(side("1"), halting: true)).contains("20 of 200"))
        #expect(feed(try guarded(side("1"), [rateMetric(0.2)])).contains("10 of 200"))
        #expect(feed(try guarded(side("1"), [rateMetric(0.2)], confidence: 0.9)).contains("10 of 200"))
        #expect(feed(try guarded(side("1"), [rateMetric(0.2), costMetric()], confidence: 0.9)).contains("10 of 200"))
        let none = Analysis(metrics: [rateMetric()], confidence: 0.95, deadline: nil, onInconclusive: .hold)
        #expect(GuardedVersion(agent, side("1"), none) == nil)
    }

    @Test("After a resume a halted agent's guard begins anew, with runs that started later")
    func resumed() throws {
        var book = GuardBook()
        let version = try guarded(side("1"), halting: true)
        var drifts = 0
        func run(_ count: Int, _ value: Double, from second: Int64) {
            for index in 0..<count {
                let drift = book.take(sample(value, of: side("1"), at: second + Int64(index)), version)
                if drift?.halts == true { drifts += 1 }
            }
        }
        run(200, 1, from: 0)
        book.restart(agent, after: Moment(Timestamp(seconds: 50)))
        #expect(book.explanations(agent)[0].contains("no samples"), "what has not drifted goes on")
        run(100, 0, from: 200)
        #expect(drifts == 1 && book.halted == [agent])
        book.restart(agent, after: Moment(Timestamp(seconds: 400)))
        #expect(book.halted.isEmpty)
        run(100, 0, from: 300)
        #expect(book.explanations(agent) == ["success: its baseline is being recorded: 0 of 200 samples"])
        run(500, 0, from: 402)
        #expect(drifts == 1)
    }

    @Test("A restart anywhere goes on bit for bit")
    func restart() throws {
        var random = SeededGenerator(for: "restart", standard: 63)
        let version = try guarded(side("1"), [rateMetric(0.1), costMetric()])
        var whole = GuardBook()
        var broken = GuardBook()
        var drifts: [[BehaviourDrift]] = [[], []]
        for index in 0..<900 {
            let isBad = index > 600
            let samples = [
                sample(random.outcome(isBad ? 0.5 : 0.97), of: side("1"), at: Int64(index)),
                sample(random.lognormal(1, scale: isBad ? 0.2 : 0.02), of: side("1"), at: Int64(index), metric: .cost),
            ]
            for sample in samples {
                if let drift = whole.take(sample, version) { drifts[0].append(drift) }
                if let drift = broken.take(sample, version) { drifts[1].append(drift) }
            }
            if random.int(0...9) == 0 {
                broken = try #require(GuardBook(json: JSONParser.parse(broken.json.canonicalBytes())))
            }
        }
        #expect(whole == broken)
        #expect(whole.json.canonicalBytes() == broken.json.canonicalBytes())
        #expect(drifts[0] == drifts[1] && drifts[0].map(\.metric).sorted() == ["cost", "success"])
    }

    @Test("A state that is damaged is refused, or is a state: it is kept as it is, counts, and says a drift once")
    func damagedState() throws {
        var random = SeededGenerator(for: "damagedState", standard: 64)
        var book = GuardBook()
        let version = try guarded(side("1"), [rateMetric(), costMetric()])
        for index in 0..<500 {
            _ = book.take(sample(1, of: side("1"), at: Int64(index)), version)
            _ = book.take(sample(0.1, of: side("1"), at: Int64(index), metric: .cost), version)
        }
        let bytes = book.json.canonicalBytes()
        var (refused, kept) = (0, 0)
        for _ in 0..<2_000 {
            var damaged = bytes
            let place = random.int(0...damaged.count - 1)
            damaged[place] = [0x2D, 0x30, 0x39, 0x65, 0x6E, 0x5B].randomElement(using: &random)!
            guard let json = try? JSONParser.parse(damaged), var read = GuardBook(json: json) else {
                refused += 1
                continue
            }
            kept += 1
            #expect(GuardBook(json: read.json) == read)
            // What is still a state must bear whatever comes, and remain one.
            var drifts: [String: Int] = [:]
            for value in [0, 1, 1e14] {
                for metric in [MetricName.cost, .success] {
                    let drift = read.take(sample(value, of: side("1"), at: 1, metric: metric), version)
                    if let drift { drifts[drift.metric, default: 0] += 1 }
                }
            }
            #expect(drifts.values.allSatisfy { $0 == 1 })
            #expect(read.explanations(agent).count == 2 && read.count >= 2)
            #expect(GuardBook(json: read.json) == read)
        }
        #expect(refused > 100 && kept > 100, "\(refused) refused, \(kept) kept")
    }

    @Test("Samples that cannot be are not evidence and stop nothing")
    func lies() throws {
        var book = GuardBook()
        let version = try guarded(side("1"), [rateMetric(), costMetric()])
        for value in [Double.nan, .infinity, -.infinity, -1, 1e300, 0.5, -0.0, .leastNonzeroMagnitude] {
            for _ in 0..<500 {
                var lie = sample(value, of: side("1"), at: .max / 2_000_000_000, metric: .cost)
                #expect(book.take(lie, version) == nil)
                lie.metric = .success
                lie.occurred = nil
                #expect(book.take(lie, version) == nil)
                lie.metric = .evaluation("made up")
                #expect(book.take(lie, version) == nil)
            }
        }
        #expect(book.explanations(agent)[0].contains("0 of 200"))
    }

    @Test("The guard's false alarms stay below its error, with the baseline that it records itself")
    func falseAlarms() throws {
        var random = SeededGenerator(for: "guardBookFalseAlarms", standard: 65)
        let metrics = [rateMetric(0), costMetric(0)]
        let version = try guarded(side("1"), metrics)
        let alarms = (0..<40).count { _ in
            var book = GuardBook()
            return (0..<1_200).contains { index in
                let outcome = sample(random.outcome(0.9), of: side("1"), at: Int64(index))
                let cost = sample(random.lognormal(), of: side("1"), at: Int64(index), metric: .cost)
                return book.take(outcome, version) != nil || book.take(cost, version) != nil
            }
        }
        #expect(alarms <= mostOf(40, 0.05))
    }

    @Test(
        "How soon a drift is seen",
        arguments: [
            (rateMetric(0.05), 0.97, 0.6, 42), (rateMetric(0.1), 0.97, 0.6, 68), (rateMetric(0.05), 0.97, 0.8, 341),
            (costMetric(), 1, 2, 82),
        ]
    )
    func delay(_ metric: Analysis.Metric, before: Double, after: Double, median: Int) throws {
        var random = SeededGenerator(for: "guardDelay", standard: 66)
        let version = try guarded(side("1"), [metric])
        let name: MetricName = metric.kind == .rate ? .success : .cost
        let delays = (0..<15).map { _ -> Int in
            var book = GuardBook()
            func isSeen(_ value: Double) -> Bool {
                let value = metric.kind == .rate ? random.outcome(value) : value * random.lognormal(0.5)
                return book.take(sample(value, of: side("1"), at: 1_000, metric: name), version) != nil
            }
            for _ in 0..<1_200 where isSeen(before) { return 0 }
            return (1...3_000).first { _ in isSeen(after) } ?? 3_000
        }
        let found = delays.sorted()[7]
        #expect((Double(median) * 0.5...Double(median) * 1.7).contains(Double(found)), "\(found)")
    }

    @Test("A baseline is sharpened with what follows, and by nothing that has fallen")
    func sharpened() throws {
        var random = SeededGenerator(for: "sharpened", standard: 67)
        var builder = BaselineBuilder(rateMetric())
        var due: [Int] = []
        var baselines: [Baseline] = []
        while !builder.isFull {
            builder.add(random.outcome(0.95))
            guard builder.isDue else { continue }
            due.append(builder.count)
            baselines.append(try #require(builder.baseline(error: 0.05)))
        }
        #expect(due == [200, 400, 800, 1_600, 3_200])
        #expect(baselines[4].bound < baselines[0].bound - 0.03)
        var watched = Guard(rateMetric(), against: baselines[0], error: 0.05)
        let sharpest = watched.sharpen(baselines[4])
        let dull = watched.sharpen(baselines[1])
        #expect(sharpest && !dull && watched.baseline == baselines[4])
        // Of sizes the cap takes as many before.
        var size = BaselineBuilder(costMetric())
        while !size.isDue { size.add(random.lognormal()) }
        #expect(size.count == 400)
    }

    @Test("A metric takes a constant room, and agents beyond the most push the longest idle one out")
    func bounded() throws {
        var book = GuardBook()
        let version = try guarded(side("1"), [rateMetric(), costMetric()])
        var sizes: [Int] = []
        for index in 0..<6_000 {
            _ = book.take(sample(1, of: side("1"), at: Int64(index)), version)
            _ = book.take(sample(Double(index % 97) / 10, of: side("1"), at: Int64(index), metric: .cost), version)
            if index % 2_000 == 1_999 { sizes.append(book.json.canonicalBytes().count) }
        }
        #expect(sizes.allSatisfy { $0 < 2_000 }, "\(sizes)")
        // Twenty metrics each, so that it is soon reached.
        let metrics = (0..<20).map { rateMetric(0.1, name: $0 == 0 ? "success" : "evaluation:e-\($0)") }
        let many = try guarded(side("1"), metrics)
        for number in 0...(GuardBook.maxMetrics / 20) {
            var one = sample(1, of: side("1"), at: Int64(100_000 + number))
            var other = many
            one.agent = try #require(AgentID("support/a-\(number)"))
            other.agent = one.agent
            _ = book.take(one, other)
        }
        #expect(book.count <= GuardBook.maxMetrics)
        #expect(GuardBook(json: book.json) == book)
        #expect(book.explanations(agent).isEmpty)
        #expect(try !book.explanations(#require(AgentID("support/a-2500"))).isEmpty)
    }
}
