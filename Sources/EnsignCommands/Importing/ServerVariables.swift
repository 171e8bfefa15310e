/// The variables of a client's configuration, which the client fills in before it starts a server.
///
/// A value that is not known is never taken for an empty one: a server would be started, or asked, with something else
/// than what is meant.
struct ServerVariables {
    let environment: (_ name: String) -> String?
    /// What has no value, as it is written, with what would give it one; in their order.
    private(set) var missing: [String] = []

    init(_ environment: @escaping (_ name: String) -> String?) { self.environment = environment }

    /// `${NAME}`, `${env:NAME}` and `${NAME:-default}` filled in.
    mutating func fill(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            let behind = rest[rest.index(after: dollar)...]
            guard behind.first == "{", let end = behind.firstIndex(of: "}") else {
                result += rest[...dollar]
                rest = behind
                continue
            }
            result += rest[..<dollar]
            result += value(of: behind[behind.index(after: behind.startIndex)..<end])
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }

    private mutating func value(of inside: Substring) -> String {
        let written = "${\(inside)}"
        if inside.hasPrefix("input:") {
            note("\(written), which the editor asks its user for: write ${NAME} in its place, and set NAME")
            return ""
        }
        let variable = inside.hasPrefix("env:") ? inside.dropFirst("env:".count) : inside
        let name = variable.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        let rest = variable.dropFirst(name.count)
        if !name.isEmpty, rest.isEmpty || rest.hasPrefix(":-") {
            if let value = environment(String(name)), !value.isEmpty || rest.isEmpty { return value }
            if rest.hasPrefix(":-") { return String(rest.dropFirst(2)) }
            // Names of variables are written large; these are the editor's own.
            let isEditors =
                !inside.hasPrefix("env:") && name.contains { $0.isLowercase } && name.contains { $0.isUppercase }
            note(
                isEditors
                    ? "\(written), which only the editor knows: write the path or ${NAME} in its place"
                    : "\(written): the variable \(name) is not set here"
            )
        } else {
            note("\(written), which only the editor knows")
        }
        return ""
    }

    private mutating func note(_ text: String) {
        if !missing.contains(text) { missing.append(text) }
    }
}
