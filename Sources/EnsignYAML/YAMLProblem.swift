/// Something in a YAML text that Ensign does not accept.
package struct YAMLProblem: Sendable, Hashable {
    /// Stable and kebab-case; listed in docs/diagnostics.md.
    package var code: String
    package var message: String
    package var hint: String?
    package var mark: YAMLMark
    /// Another place in the same file that the message mentions, and what it is.
    package var related: Related?

    /// A second place that a problem points to.
    package struct Related: Sendable, Hashable {
        package var mark: YAMLMark
        package var message: String
    }
}
