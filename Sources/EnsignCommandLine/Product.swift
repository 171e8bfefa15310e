/// What both programs are part of.
package enum Product {
    /// Ensign's own version.
    package static let version = "0.1.0"
}
