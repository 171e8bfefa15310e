import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignTelemetry

/// Random histories of a directory: whatever happens to its files, the counts stay.
extension TelemetryReaderTests {
    @Test("Chopping, restarts, rotation and crashes never change what is counted")
    func property() throws {
        var random = SeededGenerator(for: "telemetry files", standard: 2_026)
        for _ in 0..<12 { try oneHistory(&random) }
    }

    /// One random history of a directory, read at random moments; a crash goes back to an older cursor and count.
    private func oneHistory(_ random: inout SeededGenerator) throws {
        let writer = try Writer()
        var limits = TelemetryReader.Limits()
        limits.chunk = random.pick([64, 1_000, 1 << 18])
        limits.files = random.pick([3, 1_000])
        var reader = TelemetryReader(directory: writer.path, limits: limits)
        var counts: [Int: Int] = [:]
        var saved = (cursor: TelemetryCursor().json, counts: counts)
        var next = 0
        var rest: [UInt8] = []
        var rotations = 0
        func read() throws {
            var isComplete = false
            while !isComplete {
                let batch = try reader.read(limit: random.pick([500, 8 << 20]))
                for number in batch.numbers { counts[number, default: 0] += 1 }
                isComplete = batch.isComplete
            }
        }
        for _ in 0..<60 {
            switch random.int(0...9) {
            case 0...3:
                next += 1
                rest += Array(numbered(next).utf8)
            case 4:
                // A part of what is to be written.
                let count = random.int(0...rest.count)
                try writer.append(String(decoding: rest.prefix(count), as: UTF8.self))
                rest.removeFirst(count)
            case 5:
                try writer.append(String(decoding: rest, as: UTF8.self))
                rest = []
            case 6:
                try read()
            case 7:
                // What is written together is restored together.
                saved = (reader.cursor.json, counts)
            case 8:
                let cursor = try #require(TelemetryCursor(json: saved.cursor))
                reader = TelemetryReader(directory: writer.path, cursor: cursor, limits: limits)
                counts = saved.counts
            default:
                guard rest.isEmpty, FileManager.default.fileExists(atPath: "\(writer.path)/traces.jsonl") else {
                    continue
                }
                rotations += 1
                if random.once(in: 2) {
                    try writer.rename("traces.jsonl", "traces.jsonl.\(rotations)")
                } else {
                    try writer.copy("traces.jsonl", "traces.jsonl.\(rotations)")
                    try writer.truncate()
                }
            }
        }
        try writer.append(String(decoding: rest, as: UTF8.self))
        try read()
        try read()
        #expect(counts == Dictionary(uniqueKeysWithValues: (0..<next).map { ($0 + 1, 1) }), "seed \(random.seed)")
    }

    @Test("Whatever happens to the files, a run's samples come out once")
    func samples() throws {
        var random = SeededGenerator(for: "telemetry to samples", standard: 77)
        let lines = (1...30).flatMap { number -> [String] in
            let base = UInt64(number * 10)
            let trace = SpanText.id(UInt64(number)) + SpanText.id(7)
            return [
                SpanText.call(base + 2, in: base + 1), SpanText.chat(base + 3, in: base + 1, input: number, output: 1),
                SpanText(span: base + 1, parent: base),
                .run(base, bundle: number % 3 == 0 ? canaryDigest : stableDigest),
            ].map { span in line([span.changed { $0.trace = trace }]) + "\n" }
        }
        func sorted(_ samples: [Sample]) -> [String] {
            samples.map { "\($0.bundle.short) \($0.metric) \($0.value)" }.sorted()
        }
        var expected: [String]?
        for _ in 0..<6 {
            let writer = try Writer()
            var state = (cursor: TelemetryCursor().json, attribution: Attribution(environment: "prod").json)
            var kept: [Sample] = []
            // What a process has in memory; a crash goes back to what was kept.
            var reader = TelemetryReader(directory: writer.path)
            var attribution = Attribution(environment: "prod")
            var samples: [Sample] = []
            var now = after(seconds: 10)
            func look() throws {
                now = now.advanced(milliseconds: 50)
                samples += attribution.add(try reader.read(), at: now, context).samples
            }
            var rest = Array(lines.shuffled(using: &random).joined().utf8)
            var rotations = 0
            while !rest.isEmpty {
                var count = min(rest.count, random.int(1...4_000))
                if random.once(in: 3), let end = rest.dropFirst(count - 1).firstIndex(of: UInt8(ascii: "\n")) {
                    count = end + 1
                }
                try writer.append(String(decoding: rest.prefix(count), as: UTF8.self))
                // No writer's file is rotated in the middle of a line.
                let isAtLineEnd = rest[count - 1] == UInt8(ascii: "\n")
                rest.removeFirst(count)
                switch isAtLineEnd ? random.int(0...3) : random.int(0...5) {
                case 0: try look()
                case 1:
                    try look()
                    state = (reader.cursor.json, attribution.json)
                    kept = samples
                case 2:
                    reader = TelemetryReader(
                        directory: writer.path,
                        cursor: try #require(TelemetryCursor(json: state.cursor))
                    )
                    attribution = try #require(Attribution(json: state.attribution))
                    samples = kept
                case 3:
                    guard isAtLineEnd else { continue }
                    rotations += 1
                    try writer.rename("traces.jsonl", "traces.jsonl.\(rotations)")
                default: break
                }
            }
            try look()
            samples += attribution.advance(to: now.advanced(milliseconds: 20_000), context).samples
            #expect(samples.count == 30 * 7)
            #expect(sorted(samples) == expected ?? sorted(samples))
            expected = expected ?? sorted(samples)
        }
    }
}
