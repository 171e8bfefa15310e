/// `1 error`, `2 errors`; `many` where an `s` does not make the plural.
package func counted(_ number: some BinaryInteger, _ one: String, _ many: String? = nil) -> String {
    "\(number) \(number == 1 ? one : many ?? one + "s")"
}
