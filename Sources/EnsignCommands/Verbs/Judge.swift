import EnsignJudge
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignSystem
import Glibc

extension Verb {
    static let judge = Verb(
        name: "judge",
        group: .ask,
        summary: "Judge samples from standard input as a rollout would",
        discussion: """
            Reads one JSON object a line, in order of arrival: {"trial":"a","metric":"success","variant":"canary",\
            "value":1}. The variant is stable or canary; trial may be left out. Looks after every line, and at the end \
            prints one JSON object a line for each trial, in order of first appearance: the verdict (pass, fail, \
            inconclusive or no-data), how many of its lines had been read when it was decided, what each metric says, \
            and why. Lines that are no samples are named on standard error and left out. Exit status 0 whatever the \
            verdicts; 3 when the rules are invalid. docs/judge.md says what is tested and how.
            """,
        options: [
            Option(
                name: "rules",
                summary: "Read the mapping that stands under 'analysis:' from FILE",
                value: "FILE",
                kind: .file,
                isRequired: true
            )
        ],
        examples: [
            Example(command: "ensign judge --rules rules.yaml < samples.jsonl", meaning: "one verdict for each trial"),
            Example(
                command: "zcat runs.jsonl.gz | ensign judge --rules rules.yaml",
                meaning: "what would these rules have said about an old canary?"
            ),
        ]
    ) { invocation in
        let path = invocation["rules"] ?? ""
        guard let bytes = try Files.read(path, limit: 1 << 20) else {
            throw Failure(message: "there is no file '\(path)'")
        }
        let loaded = ManifestLoader.loadAnalysis(bytes, path: path)
        if !loaded.findings.isEmpty {
            let renderer = FindingRenderer(paint: invocation.console.paintNote) { $0 == path ? bytes : nil }
            invocation.console.note(String(renderer.render(loaded.findings).dropLast()))
        }
        guard loaded.isValid, let analysis = loaded.value else { return .invalid }
        var trials = Trials(analysis: analysis, console: invocation.console)
        try trials.read()
        trials.report()
        return .done
    }
}

/// The trials of one call, each judged by itself.
private struct Trials {
    private let analysis: Analysis
    private let console: Console
    private let metricNames: [[UInt8]]
    private let isRate: [Bool]
    private let fresh: Judge
    private var trials: [Trial] = []
    private var places: [ArraySlice<UInt8>: Int] = [:]
    /// Lines so far, of which some were no samples.
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

    /// The longest line that is looked at.
    private static let longestLine = 1 << 16

    mutating func read() throws {
        let capacity = 1 << 18
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        defer { unsafe buffer.deallocate() }
        var filled = 0
        // Within a line that is too long to look at.
        var isSkipping = false
        while true {
            let count = unsafe Glibc.read(0, buffer + filled, capacity - filled)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw Failure(message: unsafe "cannot read standard input: \(String(cString: strerror(errno)))")
            }
            let end = filled + count
            var start = 0
            while start < end,
                let found = unsafe memchr(buffer + start, 0x0A, end - start)
            {
                let stop = unsafe UnsafeRawPointer(found) - UnsafeRawPointer(buffer)
                if isSkipping {
                    isSkipping = false
                } else {
                    unsafe line(UnsafeRawBufferPointer(start: buffer + start, count: stop - start))
                }
                start = stop + 1
            }
            if count == 0 {
                if start < end, !isSkipping {
                    unsafe line(UnsafeRawBufferPointer(start: buffer + start, count: end - start))
                }
                break
            }
            filled = end - start
            if filled > Self.longestLine {
                if !isSkipping {
                    lines += 1
                    skip("longer than 64 KiB")
                }
                isSkipping = true
                filled = 0
            } else if filled > 0, start > 0 {
                unsafe memmove(buffer, buffer + start, filled)
            }
        }
        if skipped > Self.mostNotes { console.note("and \(skipped - Self.mostNotes) more lines that were left out") }
        if trials.isEmpty { console.note("there are no samples: nothing to judge") }
    }

    private mutating func line(_ bytes: UnsafeRawBufferPointer) {
        lines += 1
        let sample: SampleLine
        switch unsafe SampleLine.read(bytes) {
        case .sample(let found): unsafe sample = unsafe found
        case .empty: return
        case .problem(let problem): return skip(problem)
        }
        let place = unsafe place(of: sample.trial)
        guard trials[place].judge != nil else { return }
        trials[place].lines += 1
        let metric = unsafe sample.metric
        guard let index = metricNames.firstIndex(where: { $0.elementsEqual(metric) }) else {
            return skip("the rules have no metric '\(String(decoding: metric.prefix(80), as: UTF8.self))'")
        }
        let before = unsafe trials[place].judge?.metrics[index].accepts(sample.value) ?? true
        if !before {
            skip("the value is no measurement of a \(analysis.metrics[index].kind.rawValue); counted as rejected")
        }
        unsafe trials[place].judge?.add(sample.value, metricAt: index, sample.variant)
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
