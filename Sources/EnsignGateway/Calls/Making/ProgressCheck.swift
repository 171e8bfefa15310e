import EnsignModel

/// What of a server's words about its progress is passed on.
struct ProgressCheck {
    var cutter: SecretCutter

    /// The most bytes of a message.
    private static let longest = 500

    /// The members that the protocol has, each of its kind: numbers, and words that are short and on one line, without
    /// secrets. Anything else could carry a server's text, or a secret, past every check (2025-11-25, "Progress").
    ///
    /// - Returns: Nil for what is no word of progress: it has no number.
    func check(_ said: JSONObject) -> JSONObject? {
        guard let progress = said["progress"], Self.isNumber(progress) else { return nil }
        var passed: JSONObject = ["progress": progress]
        if let total = said["total"], Self.isNumber(total) { passed["total"] = total }
        if let message = said["message"]?.string {
            passed["message"] = .string(cutter.cut(message).onOneLine(utf8: Self.longest))
        }
        return passed
    }

    private static func isNumber(_ value: JSONValue) -> Bool {
        switch value {
        case .integer, .number: true
        case .null, .bool, .string, .array, .object: false
        }
    }
}
