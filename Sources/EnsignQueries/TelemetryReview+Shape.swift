import EnsignSystem

extension TelemetryReview {
    /// What a file that is not read as OTLP looks like, and what to do about it; nil where nothing is recognised.
    static func shape(of path: String) -> String? {
        guard let bytes = try? Files.read(path, limit: 1 << 24) else { return nil }
        func has(_ text: String) -> Bool { bytes.firstRange(of: Array(text.utf8)) != nil }
        let first = bytes.first { ![0x20, 0x0A, 0x0D, 0x09].contains($0) }
        let line = bytes.prefix { $0 != 0x0A && $0 != 0x0D }.filter { $0 != 0x20 }
        if has("\"instrumentationLibrarySpans\"") {
            return "it has instrumentationLibrarySpans, as OTLP had before 0.19: write it with a newer exporter"
        }
        if first == UInt8(ascii: "[") {
            return "it looks like one list: write one object on each line (jq -c '.[]')"
        }
        if line == [UInt8(ascii: "{")] {
            return "it looks like objects over several lines: write each on one line (jq -c .)"
        }
        if has("}{") { return "it looks like several objects on one line: end each with a line feed (jq -c .)" }
        return nil
    }
}
