import EnsignJSON
package import EnsignModel
import EnsignSystem

/// A server that is a program: one JSON object a line (MCP 2025-11-25, "Transports", stdio).
package final class StdioTransport: MCPTransport {
    private let conversation: Conversation
    /// How many lines that are not a JSON object are passed over: some programs greet.
    private var greetings = 100
    private var isFirst = true

    /// The variables that a server gets of this process, as the official clients do it. Keys and tokens are not among them.
    package static let inherited = ["HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LANG", "TMPDIR"]

    /// Starts the program.
    ///
    /// - Parameters:
    ///   - words: The program and its arguments, one or more. No shell reads them.
    ///   - environment: All that it gets.
    package init(_ words: [String], environment: [String: String], directory: String? = nil) throws(MCPError) {
        guard let program = words.first else { throw MCPError(.unreachable, "no command is named") }
        // The system says of a folder that a file is missing, too.
        if let directory, ((try? Files.status("\(directory)/.")) ?? nil) == nil {
            throw MCPError(.unreachable, "there is no folder \(directory.quoted(utf8: 200)) to start it in (cwd)")
        }
        do throws(SystemError) {
            var plan = KeptProgram.Plan(words, environment: environment, directory: directory)
            plan.path = try Machine.path(ofProgram: program)
            conversation = try Conversation(plan)
        } catch {
            throw MCPError(.unreachable, error.description)
        }
    }

    package func exchange(
        _ message: JSONValue,
        method: String,
        version: String?,
        patience: Duration?,
        budget: inout MCPBudget,
        take: ((JSONValue) throws(MCPError) -> Bool)?
    ) throws(MCPError) -> Bool {
        let end = patience.map { min(budget.deadline, .now + $0) } ?? budget.deadline
        guard conversation.say(message.canonicalBytes(), until: end) else {
            if budget.isOver { throw budget.timedOut(method) }
            throw MCPError(.ended, "the server ended, or takes no messages", said: said)
        }
        guard let take else { return true }
        while true {
            switch conversation.nextLine(most: budget.message, until: end) {
            case .end: throw MCPError(.ended, "the server ended before it answered '\(method)'", said: said)
            case .tooLong: throw MCPError(.limit, "a message of the server is longer than \(budget.message) bytes")
            case .timedOut:
                if budget.isOver { throw budget.timedOut(method) }
                return false
            case .line(let line):
                try budget.took(line.count)
                defer { isFirst = false }
                let text = isFirst ? ByteOrderMark.without(line) : line
                guard let value = try Self.parsedMessage(text, &greetings) else { continue }
                if try take(value) { return true }
            }
        }
    }

    /// The message in a line; nil for one that is none.
    private static func parsedMessage(_ line: [UInt8], _ greetings: inout Int) throws(MCPError) -> JSONValue? {
        let first = line.first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }
        guard first == UInt8(ascii: "{") else {
            greetings -= first == nil ? 0 : 1
            guard greetings >= 0 else { throw MCPError(.malformed, "the server writes lines that are not messages") }
            return nil
        }
        return try parsed(line)
    }

    package var takesAnswers: Bool { true }

    package func finish() { conversation.finish() }

    package var said: String {
        String(decoding: conversation.said, as: UTF8.self).split(separator: "\n").suffix(6).joined(separator: "\n")
    }
}

/// Reads one message strictly.
func parsed(_ bytes: [UInt8]) throws(MCPError) -> JSONValue {
    do {
        return try JSONParser.parse(foreign: bytes)
    } catch {
        throw MCPError(.malformed, "a message of the server is not JSON that can be read: \(error.description)")
    }
}
