/// Which names in the directory are telemetry.
enum TelemetryFileName {
    /// `*.jsonl` and `*.json`, also as rotated: `traces.jsonl.1`, `traces.jsonl-20261121`.
    ///
    /// Nothing else may follow: a compressed file is a copy of what was read.
    static func isTelemetry(_ name: String) -> Bool {
        for ending in [".jsonl", ".json"] {
            guard let range = lastRange(of: ending, in: name) else { continue }
            let rest = name.utf8[range.upperBound...]
            guard let first = rest.first else { return true }
            let allowed = Set("0123456789-_.:TZ".utf8)
            if first == UInt8(ascii: ".") || first == UInt8(ascii: "-"), rest.allSatisfy(allowed.contains) {
                return true
            }
        }
        return false
    }

    private static func lastRange(of ending: String, in name: String) -> Range<String.Index>? {
        var start = name.utf8.endIndex
        while start > name.utf8.startIndex {
            start = name.utf8.index(before: start)
            if name.utf8[start...].starts(with: ending.utf8) {
                return start..<name.utf8.index(start, offsetBy: ending.utf8.count)
            }
        }
        return nil
    }
}
