import EnsignCommandLine
import EnsignJudge
import EnsignModel

/// The trials of one call, each judged by itself.
struct Trials {
    private let analysis: Analysis
    private let console: Console
    private let metricNames: [[UInt8]]
    private let isRate: [Bool]
    private let fresh: Judge
    private var trials: [Trial] = []
    private var places: [ArraySlice<UInt8>: Int] = [:]
    /// Lines so far, some of which were not samples.
    private var lines = 0
    private var skipped = 0

    private struct Trial {
        /// Canonical JSON; `null` for lines that name no trial.
        var name: JSONValue
        var lines = 0
        /// Nil once there is a verdict: what was seen is then kept as text.
        var judge: Judge?
        var result: [UInt8] = []
    }

    init(analysis: Analysis, console: Console) {
        self.analysis = analysis
        self.console = console
        metricNames = analysis.metrics.map { Array($0.name.utf8) }
        isRate = analysis.metrics.map { $0.kind == .rate }
        fresh = Judge(analysis)
    }

    /// Reads standard input to its end.
    mutating func read() throws {
        try unsafe InputLines.read { line in
            switch unsafe line {
            case .whole(let bytes): unsafe self.line(bytes)
            case .tooLong:
                lines += 1
                skip("longer than 64 KiB")
            }
        }
        if skipped > Self.mostNotes { console.note("and \(skipped - Self.mostNotes) more lines that were left out") }
        if trials.isEmpty { console.note("there are no samples: nothing to judge") }
    }

    private mutating func line(_ bytes: UnsafeRawBufferPointer) {
        lines += 1
        let sample: SampleLine
        switch unsafe SampleLine.read(bytes) {
        case .sample(let found): unsafe sample = found
        case .empty: return
        case .problem(let problem): return skip(problem)
        }
        let place = unsafe place(of: sample.trial)
        guard trials[place].judge != nil else { return }
        trials[place].lines += 1
        let (metric, value, variant) = unsafe (sample.metric, sample.value, sample.variant)
        guard let index = metricNames.firstIndex(where: { $0.elementsEqual(metric) }) else {
            let name = String(decoding: metric.prefix(80), as: UTF8.self)
            return skip("the rules have no metric \(name.quoted(utf8: 80))")
        }
        let before = trials[place].judge?.metrics[index].accepts(value) ?? true
        if !before {
            skip("the value is not a measurement of a \(analysis.metrics[index].kind.rawValue); counted as rejected")
        }
        trials[place].judge?.add(value, metricAt: index, variant)
        if trials[place].judge?.decision != nil { settle(place) }
    }

    private var lastTrial: (name: ArraySlice<UInt8>, place: Int)?

    private mutating func place(of name: UnsafeRawBufferPointer) -> Int {
        if let lastTrial, unsafe lastTrial.name.elementsEqual(name) { return lastTrial.place }
        let key = unsafe ArraySlice(name)
        let place: Int
        if let known = places[key] {
            place = known
        } else {
            place = trials.count
            places[key] = place
            unsafe trials.append(Trial(name: SampleLine.name(key), judge: fresh))
        }
        lastTrial = (key, place)
        return place
    }

    private static let mostNotes = 20

    private mutating func skip(_ why: String) {
        skipped += 1
        if skipped <= Self.mostNotes { console.note("standard input:\(lines): \(why)") }
    }

    private mutating func settle(_ place: Int) {
        guard let judge = trials[place].judge, var object = judge.report().json.object else { return }
        object["trial"] = trials[place].name
        object["lines"] = .integer(Int64(trials[place].lines))
        trials[place].result = JSONValue.object(object).canonicalBytes() + [0x0A]
        trials[place].judge = nil
    }

    mutating func report() {
        var output: [UInt8] = []
        for place in trials.indices {
            settle(place)
            output += trials[place].result
            trials[place].result = []
            if output.count > 1 << 16 {
                console.out(output)
                output.removeAll(keepingCapacity: true)
            }
        }
        console.out(output)
    }
}
