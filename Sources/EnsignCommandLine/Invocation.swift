package import EnsignModel

/// A parsed command line.
package struct Invocation: Sendable {
    package let program: Program
    package let verb: Verb
    package let values: [String: [String]]
    package let arguments: [String]
    package var console: Console

    package init(
        program: Program,
        verb: Verb,
        values: [String: [String]],
        arguments: [String],
        console: Console
    ) {
        self.program = program
        self.verb = verb
        self.values = values
        self.arguments = arguments
        self.console = console
        self.console.output = verb.output
    }

    /// A positional argument by its place; nil when it was left out.
    package func argument(_ index: Int) -> String? { index < arguments.count ? arguments[index] : nil }

    /// An option's last value.
    package subscript(_ name: String) -> String? { values[name]?.last }

    package func has(_ name: String) -> Bool { values[name] != nil }

    package func all(_ name: String) -> [String] { values[name] ?? [] }

    package var format: Format { self["output"].flatMap { Format(rawValue: $0) } ?? .text }
    package var isQuiet: Bool { has("quiet") }

    /// Writes a JSON result: sorted keys, indented, one final newline.
    package func json(_ value: JSONValue) { console.out(value.prettyBytes() + [0x0A]) }
}
