import CCurl
package import EnsignModel
import Glibc

/// A server that is reached by HTTP (MCP 2025-11-25 and 2026-07-28, "Streamable HTTP"): answers are JSON, or a stream of
/// events that is read until the answer is in it.
@safe
package final class HTTPTransport: MCPTransport {
    private let url: String
    private let headers: [(name: String, value: String)]
    private var session: String?

    /// - Parameters:
    ///   - url: `https://...`, or `http://` of this machine: what goes to another one must not be read on the way.
    ///   - headers: Sent with each request, such as `Authorization`.
    package init(_ url: String, headers: [(name: String, value: String)] = []) throws(MCPError) {
        guard !url.unicodeScalars.contains(where: { $0.value <= 0x20 || $0.value == 0x7F }) else {
            throw MCPError(.unreachable, "an address has no blanks and no control characters")
        }
        let isPlain = url.lowercased().hasPrefix("http://")
        guard isPlain || url.lowercased().hasPrefix("https://") else {
            throw MCPError(.unreachable, "an address begins with https://")
        }
        guard !isPlain || Self.isLocal(url) else {
            throw MCPError(.unreachable, "only this machine is asked by http://; write https://")
        }
        for header in headers {
            let isFine = (header.name + header.value).unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
            guard isFine, !header.name.isEmpty, !header.name.contains(":") else {
                throw MCPError(.unreachable, "a header is NAME: VALUE on one line")
            }
        }
        self.url = url
        self.headers = headers
    }

    private static func isLocal(_ url: String) -> Bool {
        let authority = url.dropFirst("http://".count).prefix { !"/?#".contains($0) }
        guard !authority.contains("@") else { return false }
        let host = authority.hasPrefix("[") ? authority.prefix { $0 != "]" } + "]" : authority.prefix { $0 != ":" }
        return ["localhost", "127.0.0.1", "[::1]"].contains(host.lowercased())
    }

    /// What is read of one answer.
    private final class Answer {
        var head: [UInt8] = []
        var body: [UInt8] = []
        var events = EventStream()
        var isStream = false
        var session: String?
        let most: Int
        var problem: MCPError?
        let takeEvent: (Answer) -> Bool

        init(most: Int, takeEvent: @escaping (Answer) -> Bool) {
            self.most = most
            self.takeEvent = takeEvent
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
        let left = min(patience ?? .seconds(3_600), budget.deadline - .now)
        guard left > .zero else { throw budget.timedOut(method) }
        var remaining = budget
        var hasEnough = false
        let answer = Answer(most: min(budget.message, budget.bytes)) { answer in
            // Whole events only: the rest stays for the next piece.
            while let event = answer.events.next() {
                do throws(MCPError) {
                    // Handing over takes time, too.
                    if remaining.isOver { throw remaining.timedOut(method) }
                    try remaining.took(event.count)
                    guard !event.isEmpty, let take else { continue }
                    if try take(try parsed(event)) {
                        hasEnough = true
                        return true
                    }
                } catch {
                    answer.problem = error
                    return true
                }
            }
            return false
        }
        let result = post(message, method, version, left, answer)
        budget = remaining
        // Also of an answer that is a stream; what was refused begins no session.
        if let session = result.answer.session, (200..<300).contains(result.status) { self.session = session }
        if let problem = result.answer.problem { throw problem }
        if hasEnough { return true }
        switch Int(result.code) {
        case Int(CCURL_MISSING):
            throw MCPError(.unreachable, "libcurl is not installed (libcurl.so.4; on Debian: apt install libcurl4)")
        case Int(CCURL_TIMED_OUT):
            if budget.isOver || patience == nil { throw budget.timedOut(method) }
            return false
        case Int(CCURL_DONE): break
        case Int(CCURL_CLOSED): throw MCPError(.ended, "the server ended before it answered '\(method)'")
        default: throw MCPError(.unreachable, "the server cannot be reached: \(result.message)")
        }
        return try settle(result, method, &budget, take)
    }

    /// What an answer that has ended says.
    private func settle(
        _ result: (code: Int32, status: Int, message: String, answer: Answer),
        _ method: String,
        _ budget: inout MCPBudget,
        _ take: ((JSONValue) throws(MCPError) -> Bool)?
    ) throws(MCPError) -> Bool {
        let answer = result.answer
        guard let take else {
            guard (200..<300).contains(result.status) else { throw refusal(result.status) }
            return true
        }
        if answer.isStream { throw MCPError(.ended, "the server's stream ended before it answered '\(method)'") }
        // An error of the protocol may come with any status.
        let isJSON = answer.body.first { $0 > 0x20 } == UInt8(ascii: "{")
        guard isJSON, (200..<300).contains(result.status) || result.status >= 400 else { throw refusal(result.status) }
        try budget.took(answer.body.count)
        let value: JSONValue
        do throws(MCPError) {
            value = try parsed(answer.body)
        } catch {
            throw result.status >= 400 ? refusal(result.status) : error
        }
        guard value["jsonrpc"] != nil || result.status < 400 else { throw refusal(result.status) }
        guard try take(value) else {
            throw result.status >= 400
                ? refusal(result.status) : MCPError(.malformed, "the answer to '\(method)' has another id")
        }
        return true
    }

    private func refusal(_ status: Int) -> MCPError {
        switch status {
        case 300..<400: MCPError(.unreachable, "the server sends to another address (HTTP \(status)): name that one")
        case 401, 403: MCPError(.unreachable, "the server wants to know who asks (HTTP \(status)): see --header")
        default: MCPError(.refused(Int64(status)), "the server answers with HTTP \(status)")
        }
    }

    private func post(
        _ message: JSONValue,
        _ method: String,
        _ version: String?,
        _ time: Duration,
        _ answer: Answer
    ) -> (code: Int32, status: Int, message: String, answer: Answer) {
        var lines = headers.map { "\($0.name): \($0.value)" }
        lines += [
            "Content-Type: application/json", "Accept: application/json, text/event-stream", "Mcp-Method: \(method)",
            // No waiting for a go-ahead.
            "Expect:",
        ]
        if let version { lines.append("MCP-Protocol-Version: \(version)") }
        if let session { lines.append("Mcp-Session-Id: \(session)") }
        var pointers: [UnsafePointer<CChar>?] = unsafe lines.map { line in
            unsafe UnsafePointer(strdup(line))
        }
        unsafe pointers.append(nil)
        defer {
            for index in unsafe pointers.indices { unsafe free(UnsafeMutablePointer(mutating: pointers[index])) }
        }
        let body = message.canonicalBytes()
        var result = ccurl_answer()
        let milliseconds = Int(min(max(time / .milliseconds(1), 1), 3_600_000))
        let code = unsafe ccurl_post(
            url,
            pointers,
            body,
            body.count,
            milliseconds,
            { context, bytes, count in
                guard let context = unsafe context else { return 1 }
                let answer = unsafe Unmanaged<Answer>.fromOpaque(context).takeUnretainedValue()
                return unsafe HTTPTransport.takeHead(answer, UnsafeBufferPointer(start: bytes, count: count))
            },
            { context, bytes, count in
                guard let context = unsafe context else { return 1 }
                let answer = unsafe Unmanaged<Answer>.fromOpaque(context).takeUnretainedValue()
                return unsafe HTTPTransport.takeBody(answer, UnsafeBufferPointer(start: bytes, count: count))
            },
            unsafe Unmanaged.passUnretained(answer).toOpaque(),
            &result
        )
        let said = unsafe withUnsafeBytes(of: &result.message) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return (code, result.status, said, answer)
    }

    // MARK: Reading

    private nonisolated static func takeHead(_ answer: Answer, _ bytes: UnsafeBufferPointer<UInt8>) -> Int32 {
        guard bytes.count < 65_536 else { return 1 }
        let line = unsafe String(decoding: bytes, as: UTF8.self)
        guard let colon = line.firstIndex(of: ":") else { return 0 }
        let value = String(line[line.index(after: colon)...].drop { $0 == " " }.prefix { !$0.isNewline })
        switch line[..<colon].lowercased() {
        case "content-type": answer.isStream = value.lowercased().hasPrefix("text/event-stream")
        case "mcp-session-id":
            let isFine = value.utf8.count <= 1_024 && value.utf8.allSatisfy { (0x21...0x7E).contains($0) }
            answer.session = isFine && !value.isEmpty ? value : nil
        default: break
        }
        return 0
    }

    private nonisolated static func takeBody(_ answer: Answer, _ bytes: UnsafeBufferPointer<UInt8>) -> Int32 {
        if answer.isStream {
            unsafe answer.events.add(bytes)
            if answer.takeEvent(answer) { return 1 }
        } else {
            unsafe answer.body += bytes
        }
        guard answer.isStream ? answer.events.waiting <= answer.most : answer.body.count <= answer.most else {
            answer.problem = MCPError(.limit, "a message of the server is longer than \(answer.most) bytes")
            return 1
        }
        return 0
    }

    package func finish() {}

    // The answer is read from a stream that is closed first.
    package var takesAnswers: Bool { false }

    package var said: String { "" }
}
