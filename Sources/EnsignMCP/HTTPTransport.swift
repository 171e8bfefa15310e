package import EnsignModel
import EnsignSystem

/// A server that is reached by HTTP (MCP 2025-11-25 and 2026-07-28, "Streamable HTTP"): answers are JSON, or a stream of
/// events that is read until the answer is in it.
package final class HTTPTransport: MCPTransport {
    private let url: String
    private let headers: [(name: String, value: String)]
    private let line: WebLine
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
        let authority = url.drop { $0 != "/" }.dropFirst(2).prefix { !"/?#".contains($0) }
        guard !authority.contains("@") else {
            throw MCPError(.unreachable, "an address has no user and no password: hand them on in a header")
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
        line = try WebLine()
    }

    private static func isLocal(_ url: String) -> Bool {
        let authority = url.dropFirst("http://".count).prefix { !"/?#".contains($0) }
        let host = authority.hasPrefix("[") ? authority.prefix { $0 != "]" } + "]" : authority.prefix { $0 != ":" }
        return ["localhost", "127.0.0.1", "[::1]"].contains(host.lowercased())
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
        var problem: MCPError?
        let limit = min(budget.message, budget.bytes)
        let answer = post(message, method, version, left, limit) { event in
            do throws(MCPError) {
                // Handing over takes time, too.
                if remaining.isOver { throw remaining.timedOut(method) }
                try remaining.took(event.count)
                guard !event.isEmpty, let take else { return false }
                hasEnough = try take(try parsed(event))
                return hasEnough
            } catch {
                problem = error
                return true
            }
        }
        budget = remaining
        // Also of an answer that is a stream; what was refused begins no session.
        if let session = answer.session, (200..<300).contains(answer.status) { self.session = session }
        if let problem { throw problem }
        if hasEnough { return true }
        switch answer.end {
        case .tooLong: throw MCPError(.limit, "a message of the server is longer than \(limit) bytes")
        case .timedOut:
            if budget.isOver || patience == nil { throw budget.timedOut(method) }
            return false
        case .done, .enough: break
        case .cancelled, .withdrawn: throw MCPError(.ended, "the request was cancelled")
        // It was there, and went without a whole answer.
        case .failed(let why) where answer.wasSent:
            throw MCPError(.ended, "the server ended before it answered '\(method)': \(why)")
        case .failed(let why): throw MCPError(.unreachable, "the server cannot be reached: \(why)")
        }
        return try settle(answer, method, &budget, take)
    }

    /// What an answer that has ended says.
    private func settle(
        _ answer: WebAnswer,
        _ method: String,
        _ budget: inout MCPBudget,
        _ take: ((JSONValue) throws(MCPError) -> Bool)?
    ) throws(MCPError) -> Bool {
        guard let take else {
            guard (200..<300).contains(answer.status) else { throw refusal(answer.status) }
            return true
        }
        if answer.isStream { throw MCPError(.ended, "the server's stream ended before it answered '\(method)'") }
        // An error of the protocol may come with any status.
        let isJSON = ByteOrderMark.without(answer.body).first { $0 > 0x20 } == UInt8(ascii: "{")
        if (200..<300).contains(answer.status), !isJSON {
            let what = answer.type.isEmpty ? "something" : answer.type.onOneLine(utf8: 60)
            let why = "the server answers with \(what), which is not MCP: is the path of the address right?"
            throw MCPError(.refused(Int64(answer.status)), why)
        }
        guard isJSON, (200..<300).contains(answer.status) || answer.status >= 400 else { throw refusal(answer.status) }
        try budget.took(answer.body.count)
        let value: JSONValue
        do throws(MCPError) {
            value = try parsed(answer.body)
        } catch {
            throw answer.status >= 400 ? refusal(answer.status) : error
        }
        guard value["jsonrpc"] != nil || answer.status < 400 else { throw refusal(answer.status) }
        guard try take(value) else {
            throw answer.status >= 400
                ? refusal(answer.status) : MCPError(.malformed, "the answer to '\(method)' has another id")
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
        _ most: Int,
        _ take: @escaping ([UInt8]) -> Bool
    ) -> WebAnswer {
        var lines = headers.map { "\($0.name): \($0.value)" }
        lines += WebHeaders.lines(method: method, version: version, session: session)
        return line.send(
            url,
            headers: lines,
            body: message.canonicalBytes(),
            time: time,
            isDirect: url.lowercased().hasPrefix("http:"),
            most: most,
            take: take
        )
    }

    package func finish() {}

    // The answer is read from a stream that is closed first.
    package var takesAnswers: Bool { false }

    package var said: String { "" }
}
