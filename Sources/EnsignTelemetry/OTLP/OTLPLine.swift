import EnsignModel

/// One line of an OTLP/JSON file (https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/): an object with
/// `resourceSpans`, `resourceLogs` or `resourceMetrics`. Unknown members are skipped, as OTLP asks of readers.
package enum OTLPLine {
    /// Events of a line: twice what a collector puts into a batch.
    static let most = 16_384

    /// Reads a line's events.
    ///
    /// A line that begins with the rest of one that was cut off, as a restarted writer leaves it, is read from the place
    /// where the whole one begins; the cut-off one counts as malformed.
    ///
    /// - Parameters:
    ///   - bytes: One JSON object, white space around it. Empty lines are allowed.
    ///   - describes: Whether names of spans and scopes are read too, for people.
    ///   - events: What was read is appended; nothing of a malformed line.
    package static func read(
        _ bytes: UnsafeRawBufferPointer,
        describing describes: Bool = false,
        into events: inout [TelemetryEvent],
        rejections: inout Rejections
    ) {
        let count = events.count
        // RFC 8259, section 8.1: a reader may pass over a byte order mark.
        let first = unsafe bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        var start = first
        while true {
            do {
                var reader = unsafe OTLPReader(bytes, from: start, describing: describes)
                var found = Rejections()
                try reader.readLine(into: &events, rejections: &found)
                rejections.add(found)
                return
            } catch {
                let isTooLong = events.count - count >= most
                events.removeSubrange(count...)
                if start == first { rejections.add(isTooLong ? .longLine : .malformedLine) }
                if isTooLong { return }
            }
            guard let next = unsafe lastBeginning(in: bytes), next > start else { return }
            start = next
        }
    }

    private static let words = Array("{\"resource".utf8)

    /// The last `{"resource`, which is never inside a JSON string: its quote would be escaped there.
    private static func lastBeginning(in bytes: UnsafeRawBufferPointer) -> Int? {
        var start = bytes.count - words.count - 1
        while start > 0 {
            if unsafe bytes[start] == words[0], unsafe bytes[start..<(start + words.count)].elementsEqual(words),
                // Within a line it also begins each resource: {"resource":{...}}.
                unsafe bytes[start + words.count] != UInt8(ascii: "\"")
            {
                return start
            }
            start -= 1
        }
        return nil
    }
}
