import EnsignJSON
import EnsignModel

/// What happens in one run: a line of its file each.
enum RunEvent: Sendable {
    /// The first line: the bundle, and the session's key that chose it.
    case began(Digest, key: String)
    case call(Mark, isRefused: Bool)
    /// Of an operation, with the arguments that conditions ask to be the same.
    case success(String, arguments: [Mark])

    // What is left of a longer file.

    /// Calls and refusals that were forgotten.
    case total(steps: Int64, refusals: Int64)
    /// So many calls of one kind, which ``total(steps:refusals:)`` counts.
    case calls(Mark, count: Int64)

    /// - Parameter time: Milliseconds since 1970.
    func line(at time: Int64) -> String {
        switch self {
        case .began(let bundle, let key): "b \(time) \(bundle.hex) \(JSONValue.string(key).text)"
        case .call(let call, let isRefused): "\(isRefused ? "r" : "c") \(time) \(call.hex)"
        case .success(let operation, let arguments):
            (["s", "\(time)", operation] + arguments.map(\.hex)).joined(separator: " ")
        case .total(let steps, let refusals): "t \(time) \(steps) \(refusals)"
        case .calls(let call, let count): "m \(time) \(call.hex) \(count)"
        }
    }

    /// Reads a line back; nil for one that is not understood, which changes nothing.
    static func read(_ line: Substring) -> (event: RunEvent, time: Int64)? {
        let kind = line.prefix { $0 != " " }
        let parts = line.split(separator: " ", maxSplits: kind == "b" ? 3 : .max, omittingEmptySubsequences: false)
        guard parts.count >= 3, let time = Int64(parts[1]), let event = event(kind, parts) else { return nil }
        return (event, time)
    }

    private static func event(_ kind: Substring, _ parts: [Substring]) -> RunEvent? {
        switch kind {
        case "b":
            guard parts.count == 4, let bundle = Digest(hex: parts[2]),
                let key = (try? JSONParser.parse(Array(parts[3].utf8)))?.string
            else { return nil }
            return .began(bundle, key: key)
        case "c", "r": return Mark(parts[2]).map { .call($0, isRefused: kind == "r") }
        case "s": return .success(String(parts[2]), arguments: parts.dropFirst(3).compactMap { Mark($0) })
        case "t":
            return .total(steps: Int64(parts[2]) ?? 0, refusals: parts.count > 3 ? Int64(parts[3]) ?? 0 : 0)
        case "m":
            guard parts.count > 3, let call = Mark(parts[2]), let count = Int64(parts[3]) else { return nil }
            return .calls(call, count: count)
        default: return nil
        }
    }
}
