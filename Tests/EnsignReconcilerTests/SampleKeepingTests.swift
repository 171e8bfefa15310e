import EnsignJudge
import EnsignModel
import EnsignTelemetry
import EnsignTestSupport
import Testing

@testable import EnsignReconciler

/// Samples between the telemetry that was read and the reconcile that takes them.
@Suite("Samples that wait")
struct SampleKeepingTests {
    private static let start = Moment(Timestamp(seconds: 1_795_251_600))

    private func sample(_ value: Double, at milliseconds: Int64) -> Sample {
        let time = Self.start.advanced(milliseconds: milliseconds)
        return Sample(
            agent: .triage,
            environment: "prod",
            bundle: digest("c"),
            metric: .cost,
            value: value,
            occurred: nil,
            time: time,
            started: time
        )
    }

    @Test("What is made while reading is behind waits; what was made before does not")
    func hold() {
        var kept = TelemetryCheckpoint(environment: "prod")
        kept.keep([sample(1, at: 5)])
        kept.hold()
        kept.keep([sample(2, at: 1)])
        #expect(kept.takeSamples().map(\.value) == [1])
        kept.hold()
        kept.keep([sample(3, at: 0)])
        #expect(kept.takeSamples().isEmpty)
        kept.release()
        #expect(kept.takeSamples().map(\.value) == [2, 3])
        #expect(kept.takeSamples().isEmpty)
    }

    @Test("When too many wait, those of the oldest runs go, whatever was read first, and it is said how many")
    func dropped() throws {
        var kept = TelemetryCheckpoint(environment: "prod")
        #expect(kept.droppedSentence == nil)
        // One file's samples are all older than the other's, and were read later.
        kept.keep((0..<60_000).map { sample(1, at: 1_000_000 + Int64($0)) })
        kept.hold()
        kept.keep((0..<60_000).map { sample(2, at: Int64($0)) })
        #expect(kept.samples.count == 100_000)
        #expect(kept.samples.count { $0.value == 1 } == 60_000)
        #expect(kept.dropped == 20_000)
        #expect(kept.droppedSentence?.hasPrefix("20000 samples of canaries left before a reconcile took them") == true)
        #expect(TelemetryCheckpoint(kept.contents)?.droppedSentence == kept.droppedSentence)
    }

    @Test("Samples wait until all that was read has made its own, and never for long")
    func release() throws {
        let scratch = try ScratchDirectory()
        var state = TelemetryState(
            reader: TelemetryReader(directory: scratch.path),
            kept: TelemetryCheckpoint(environment: "prod"),
            traffic: TrafficBook(),
            isDirty: false
        )
        func at(_ seconds: Int64) -> Moment { Self.start.advanced(milliseconds: seconds * 1_000) }
        state.holdSamples(true, at(0))
        state.kept.keep([sample(1, at: 0)])
        #expect(state.kept.takeSamples().count == 1)
        state.holdSamples(false, at(1))
        state.kept.keep([sample(2, at: 0)])
        state.holdSamples(true, at(10))
        #expect(state.kept.takeSamples().isEmpty)
        // A run that was read last makes its samples 15 seconds later.
        state.holdSamples(true, at(18))
        #expect(state.kept.takeSamples().count == 1)
        // Who never catches up hands over every five minutes.
        var taken: [Int64] = []
        for second in stride(from: Int64(100), through: 1_000, by: 5) {
            state.kept.keep([sample(3, at: second)])
            state.holdSamples(false, at(second))
            if !state.kept.takeSamples().isEmpty { taken.append(second) }
        }
        #expect(taken.count >= 3 && taken.count <= 6, "\(taken)")
    }
}
