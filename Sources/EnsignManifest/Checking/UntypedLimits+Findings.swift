import EnsignModel

extension UntypedLimits {
    /// What to report about each limit, for at most 20.
    var problems: [(pointer: [String], message: String, hint: String)] {
        guard isComplete else {
            return [
                (
                    pointer: [], message: "its references lead to too many schemas to see what it limits",
                    hint: "write it without references"
                )
            ]
        }
        return limits.prefix(20).map { limit in
            (
                pointer: limit.pointer,
                message:
                    "'\(limit.keyword)' limits \(limit.what) alone, and other values are let in here: \(limit.type.way) gets past it",
                hint: "add type: \(limit.type)"
            )
        }
    }
}

extension String {
    /// How a value gets past a limit that needs this type.
    fileprivate var way: String {
        switch self {
        case "number": "a text such as \"4000\""
        case "string": "a number or a list"
        case "array": "a text or an object"
        default: "a text or a list"
        }
    }
}
