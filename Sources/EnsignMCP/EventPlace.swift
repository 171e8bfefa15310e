/// Where a stream of events was broken off, and how long its server wants to be left alone before it is asked for the rest
/// (HTML, "Server-sent events"; MCP 2025-11-25, "Resumability and Redelivery").
package struct EventPlace: Sendable, Hashable {
    /// What `Last-Event-ID` says; empty where the rest cannot be asked for.
    package var id = ""
    /// At most a day; nil where the server does not say.
    package var retry: Duration?

    package init() {}

    /// An `id` as a header can say it; empty where none can.
    static func id(_ value: some Collection<UInt8>) -> String {
        let isFine = value.count <= 1_024 && value.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        guard isFine, let text = String(validating: value, as: UTF8.self) else { return "" }
        // Blanks at its ends are none of a header's value.
        return text.hasPrefix(" ") || text.hasSuffix(" ") ? "" : text
    }

    /// Digits alone say how many milliseconds; anything else is passed over.
    static func retry(_ value: some Collection<UInt8>) -> Duration? {
        guard !value.isEmpty, value.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        let milliseconds = Int(String(decoding: value, as: UTF8.self)) ?? .max
        return .milliseconds(min(milliseconds, 86_400_000))
    }
}
