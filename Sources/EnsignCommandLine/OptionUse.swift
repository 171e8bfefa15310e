/// Where an option means something.
///
/// The parser refuses it everywhere else: an option that is accepted and ignored lets people believe that it was heeded.
package struct OptionUse: Sendable, Hashable {
    /// The choices of the first argument that it is for; nil for all.
    package var with: [String]?
    /// The options of which one has to be there too; empty for none.
    package var needs: [String]
    /// The options beside which it means nothing, or the opposite.
    package var excludes: [String]
    /// The formats that have what it asks for; nil for all of the verb's.
    package var formats: [Format]?
    /// Why ``needs`` has to be met, where that helps: behind a colon.
    package var because: String?

    package init(
        with: [String]? = nil,
        needs: [String] = [],
        excludes: [String] = [],
        formats: [Format]? = nil,
        because: String? = nil
    ) {
        self.with = with
        self.needs = needs
        self.excludes = excludes
        self.formats = formats
        self.because = because
    }

    /// Everywhere.
    package static let anywhere = OptionUse()
}

extension Option {
    /// The same option, which means something there alone.
    package func used(_ use: OptionUse) -> Option {
        var option = self
        option.use = use
        return option
    }

    /// The summary with what it is for in front; what is longer than that is in the documents.
    package var summaryWithUse: String {
        let place =
            use.with.map { Self.list($0.map { "'\($0)'" }, "and") }
            ?? (use.needs.isEmpty ? nil : Self.list(use.needs.map { "--\($0)" }, "or"))
        guard let place else { return summary }
        return "With \(place): \(summary.prefix(1).lowercased())\(summary.dropFirst())"
    }

    /// Why it means nothing in a command line; nil where it does.
    ///
    /// - Parameters:
    ///   - first: The first argument.
    ///   - values: All options that are given.
    func objection(_ verb: Verb, _ first: String?, _ values: [String: [String]]) -> String? {
        if let choices = use.with, let first, !choices.contains(first) {
            return "--\(name) is for \(Self.list(choices.map { "'\(verb.name) \($0)'" }, "and"))"
        }
        if !use.needs.isEmpty, !use.needs.contains(where: { values[$0] != nil }) {
            let others = Self.list(use.needs.map { "--\($0)" }, "or")
            return "--\(name) is for \(others)\(use.because.map { ": \($0)" } ?? "")"
        }
        if let other = use.excludes.first(where: { values[$0] != nil }) {
            return "--\(name) and --\(other) exclude each other"
        }
        if let formats = use.formats, let format = values["output"]?.last,
            !formats.map(\.rawValue).contains(format)
        {
            return "--\(name) has no answer in \(format): leave --output out"
        }
        return nil
    }

    /// `a, b and c`.
    private static func list(_ words: [String], _ last: String) -> String {
        guard words.count > 1, let end = words.last else { return words.joined() }
        return "\(words.dropLast().joined(separator: ", ")) \(last) \(end)"
    }
}
