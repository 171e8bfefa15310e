/// A parsed command line.
struct Invocation: Sendable {
    let verb: Verb
    let values: [String: [String]]
    let arguments: [String]
    var console: Console

    /// A positional argument by its place; nil when it was left out.
    func argument(_ index: Int) -> String? { index < arguments.count ? arguments[index] : nil }

    /// An option's last value.
    subscript(_ name: String) -> String? { values[name]?.last }

    func has(_ name: String) -> Bool { values[name] != nil }

    func all(_ name: String) -> [String] { values[name] ?? [] }

    var format: Format { self["output"].flatMap { Format(rawValue: $0) } ?? .text }
    var isQuiet: Bool { has("quiet") }

    /// `-c key=value` settings.
    var overrides: [(key: String, value: String)] {
        all("config").map { text in
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "true")
        }
    }
}
