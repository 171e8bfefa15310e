/// A boolean in git's configuration.
package enum GitBoolean {
    /// Reads one as git does (parse.c, `git_parse_maybe_bool`): `true`, `yes`, `on` and their opposites in any case, a
    /// number, nothing for false. A key without `=` has the value `true` here.
    ///
    /// - Returns: nil for anything else, which git calls an error.
    package static func value(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "true", "yes", "on": return true
        case "false", "no", "off", "": return false
        default: break
        }
        var digits = text[...]
        if let unit = digits.last, "kKmMgG".contains(unit) { digits = digits.dropLast() }
        return Int64(digits).map { $0 != 0 }
    }
}
