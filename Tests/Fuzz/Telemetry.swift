import EnsignJSON
import EnsignJudge
import EnsignModel
import EnsignPlanner

@testable import EnsignTelemetry

/// Lines of OTLP/JSON: read the same twice, and what they say is counted without a trap.
func otlp(_ bytes: [UInt8]) {
    func read(_ describing: Bool) -> ([TelemetryEvent], Rejections) {
        var events: [TelemetryEvent] = []
        var rejections = Rejections()
        for line in Array(bytes).split(separator: 0x0A, omittingEmptySubsequences: false) {
            // A copy of its own: a byte beyond its end is nobody's.
            unsafe Array(line).withUnsafeBytes {
                unsafe OTLPLine.read($0, describing: describing, into: &events, rejections: &rejections)
            }
        }
        return (events, rejections)
    }
    let rejections = read(false).1
    must(read(false).1 == rejections, "read again, it rejects something else")
    // Names for people are read as well: a line may be malformed in what is else passed over.
    _ = read(true)
}

/// What is kept between runs, of which a file may be anything.
func checkpoints(_ bytes: [UInt8]) {
    guard let value = try? JSONParser.parse(bytes) else { return }
    if let cursor = TelemetryCursor(json: value) { mustSettle(cursor, \.json) { TelemetryCursor(json: $0) } }
    if let attribution = Attribution(json: value) { mustSettle(attribution, \.json) { Attribution(json: $0) } }
    if let kills = KillSwitch(json: value) { mustSettle(kills, \.json) { KillSwitch(json: $0) } }
    if let book = GuardBook(json: value) { mustSettle(book, \.json) { GuardBook(json: $0) } }
    if let calls = ObservedCalls(json: value) { mustReturn(calls, calls.json) { ObservedCalls(json: $0) } }
    let rejections = Rejections(json: value)
    mustSettle(rejections, \.json) { Rejections(json: $0) }
}
