import EnsignModel
import Synchronization

/// Where a call is in a trace: W3C Trace Context, `traceparent` of version 00.
package struct TraceContext: Sendable, Hashable {
    /// 32 hexadecimal digits.
    package let trace: String
    /// The caller's span, 16 hexadecimal digits; nil where the trace begins here.
    package let parent: String?
    /// The gateway's own span.
    package let span: String
    let flags: String
    let state: String?

    /// - Parameters:
    ///   - parent: What the client says; anything but a valid one begins a new trace.
    ///   - random: Gives random numbers.
    package init(
        parent text: String?,
        state: String?,
        random: () -> UInt64 = { TraceNumbers.shared.next() }
    ) {
        func hex(_ number: UInt64) -> String {
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        span = hex(random())
        if let (trace, parent, flags) = text.flatMap(Self.parse) {
            (self.trace, self.parent, self.flags) = (trace, parent, flags)
            self.state = state.flatMap {
                (1...512).contains($0.utf8.count) && $0.utf8.allSatisfy { (0x20...0x7E).contains($0) } ? $0 : nil
            }
        } else {
            (trace, self.parent, flags, self.state) = (hex(random()) + hex(random()), nil, "01", nil)
        }
    }

    /// The id of a trace that a client names; nil for none that is valid.
    package static func trace(of parent: String?) -> String? { parent.flatMap(parse)?.trace }

    private static func parse(_ text: String) -> (trace: String, parent: String, flags: String)? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "00", isID(parts[1], 32), isID(parts[2], 16), parts[3].utf8.count == 2,
            parts[3].utf8.allSatisfy(isHex)
        else { return nil }
        return (String(parts[1]), String(parts[2]), String(parts[3]))
    }

    private static func isID(_ text: Substring, _ count: Int) -> Bool {
        text.utf8.count == count && text.utf8.allSatisfy(isHex) && text.contains { $0 != "0" }
    }

    private static func isHex(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) }

    /// What the server gets in `_meta`: the gateway's span is its parent.
    var meta: JSONObject {
        var members: JSONObject = ["traceparent": .string("00-\(trace)-\(span)-\(flags)")]
        if let state { members["tracestate"] = .string(state) }
        return members
    }
}

/// Random numbers for traces, drawn from the system a few at a time.
private final class TraceNumbers: Sendable {
    static let shared = TraceNumbers()

    private let drawn = Mutex<[UInt64]>([])

    func next() -> UInt64 {
        drawn.withLock { drawn in
            if drawn.isEmpty { drawn = (0..<64).map { _ in .random(in: 1 ... .max) } }
            return drawn.removeLast()
        }
    }
}
