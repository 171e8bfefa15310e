import CCurl
import Glibc
import Synchronization

/// A connection to a server of HTTP, kept from one request to the next for as long as the server lets it.
///
/// One request at a time; any thread may cancel it.
@safe
package final class WebLine: Sendable {
    @safe
    private struct Handle: @unchecked Sendable {
        // The library's own: used by one thread at a time, and woken by any.
        let pointer: OpaquePointer
    }

    private let handle: Handle

    /// - Throws: ``MCPError`` where libcurl is not installed.
    package init() throws(MCPError) {
        guard let pointer = unsafe ccurl_open() else {
            throw MCPError(.unreachable, "libcurl is not installed (libcurl.so.4; on Debian: apt install libcurl4)")
        }
        handle = unsafe Handle(pointer: pointer)
    }

    deinit { unsafe ccurl_close(handle.pointer) }

    /// Ends the request that is under way, and those that come, until ``renew()``.
    package func cancel() { unsafe ccurl_cancel(handle.pointer) }

    /// Forgets that it was cancelled. For a new owner, before anybody can cancel its request: whoever cancels the one before may
    /// be late.
    package func renew() { unsafe ccurl_renew(handle.pointer) }

    /// Sends one request, and reads the answer.
    ///
    /// - Parameters:
    ///   - headers: Whole lines; nothing in them but what is printable.
    ///   - body: What is posted; nil to get instead.
    ///   - method: Instead of the one that follows from the body.
    ///   - place: Where the stream that is asked for was broken off.
    ///   - isDirect: Whether no proxy is used, whatever the environment says.
    ///   - mayBeSent: Asked before the first byte of the body, behind all that is waited for.
    ///   - take: Takes each event of a stream; true when no more is wanted.
    package func send(
        _ url: String,
        headers: [String],
        body: [UInt8]?,
        method: String? = nil,
        from place: EventPlace = EventPlace(),
        time: Duration,
        isDirect: Bool,
        most: Int,
        mayBeSent: @escaping () -> Bool = { true },
        take: @escaping ([UInt8]) -> Bool
    ) -> WebAnswer {
        let reading = Reading(most: most, place: place, mayBeSent: mayBeSent, take: take)
        var pointers: [UnsafePointer<CChar>?] = unsafe headers.map { line in
            unsafe UnsafePointer(strdup(line))
        }
        unsafe pointers.append(nil)
        defer {
            for index in unsafe pointers.indices { unsafe free(UnsafeMutablePointer(mutating: pointers[index])) }
        }
        var result = ccurl_answer()
        let milliseconds = Int(min(max(time / .milliseconds(1), 1), 86_400_000))
        let name = unsafe method.flatMap { unsafe strdup($0) }
        defer { unsafe free(name) }
        let code = unsafe url.withCString { address in
            unsafe pointers.withUnsafeBufferPointer { lines in
                unsafe (body ?? []).withUnsafeBufferPointer { bytes in
                    guard let start = lines.baseAddress else { return Int32(CCURL_FAILED) }
                    var request = unsafe ccurl_request(
                        url: address,
                        method: name,
                        headers: start,
                        body: bytes.baseAddress,
                        count: bytes.count,
                        is_get: body == nil ? 1 : 0,
                        timeout: milliseconds,
                        direct: isDirect ? 1 : 0,
                        is_withdrawn: WebLine.isWithdrawn,
                        head: WebLine.takeHead,
                        reader: WebLine.takeBody,
                        context: Unmanaged.passUnretained(reading).toOpaque()
                    )
                    return unsafe ccurl_send(handle.pointer, &request, &result)
                }
            }
        }
        let said = unsafe withUnsafeBytes(of: &result.message) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        let end: WebAnswer.End =
            switch Int(code) {
            case Int(CCURL_DONE): .done
            case Int(CCURL_STOPPED): reading.isTooLong ? .tooLong : .enough
            case Int(CCURL_TIMED_OUT): .timedOut
            case Int(CCURL_CANCELLED): .cancelled
            case Int(CCURL_WITHDRAWN): .withdrawn
            default: .failed(said)
            }
        return WebAnswer(
            end: end,
            status: result.status,
            wasSent: result.was_sent != 0,
            type: reading.type,
            isStream: reading.isStream,
            place: reading.events.place,
            session: reading.session,
            body: reading.isStream ? [] : reading.body
        )
    }

    private final class Reading {
        var body: [UInt8] = []
        var events: EventStream
        var isStream = false
        var type = ""
        var isTooLong = false
        var session: String?
        let most: Int
        let mayBeSent: () -> Bool
        let take: ([UInt8]) -> Bool

        init(most: Int, place: EventPlace, mayBeSent: @escaping () -> Bool, take: @escaping ([UInt8]) -> Bool) {
            events = EventStream(from: place)
            self.most = most
            self.mayBeSent = mayBeSent
            self.take = take
        }
    }

    private static let isWithdrawn: @convention(c) (UnsafeMutableRawPointer?) -> Int32 = { context in
        guard let context = unsafe context else { return 1 }
        return unsafe Unmanaged<Reading>.fromOpaque(context).takeUnretainedValue().mayBeSent() ? 0 : 1
    }

    private static let takeHead: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<UInt8>, Int) -> Int32 = {
        context,
        bytes,
        count in
        guard let context = unsafe context, count < 65_536 else { return 1 }
        let reading = unsafe Unmanaged<Reading>.fromOpaque(context).takeUnretainedValue()
        let line = unsafe String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
        guard let colon = line.firstIndex(of: ":") else { return 0 }
        let value = String(line[line.index(after: colon)...].drop { $0 == " " }.prefix { !$0.isNewline })
        switch line[..<colon].lowercased() {
        case "content-type":
            reading.type = value.prefix { $0 != ";" }.lowercased()
            reading.isStream = value.lowercased().hasPrefix("text/event-stream")
        case "mcp-session-id":
            let isFine = value.utf8.count <= 1_024 && value.utf8.allSatisfy { (0x21...0x7E).contains($0) }
            reading.session = isFine && !value.isEmpty ? value : nil
        default: break
        }
        return 0
    }

    private static let takeBody: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<UInt8>, Int) -> Int32 = {
        context,
        bytes,
        count in
        guard let context = unsafe context else { return 1 }
        let reading = unsafe Unmanaged<Reading>.fromOpaque(context).takeUnretainedValue()
        let piece = unsafe UnsafeBufferPointer(start: bytes, count: count)
        if reading.isStream {
            unsafe reading.events.add(piece)
            // Whole events only: the rest stays for the next piece.
            while let event = reading.events.next() {
                if reading.take(event) { return 1 }
            }
            reading.isTooLong = reading.events.pending > reading.most
        } else {
            unsafe reading.body.append(contentsOf: piece)
            reading.isTooLong = reading.body.count > reading.most
        }
        return reading.isTooLong ? 1 : 0
    }
}

/// What each request by HTTP says (2025-11-25 and 2026-07-28, "Streamable HTTP").
package enum WebHeaders {
    /// - Parameter version: Nil as long as nothing was agreed on.
    package static func lines(method: String, version: String?, session: String?) -> [String] {
        var lines = [
            "Content-Type: application/json", "Accept: application/json, text/event-stream", "Mcp-Method: \(method)",
            // No waiting for a go-ahead.
            "Expect:",
        ]
        if let version { lines.append("MCP-Protocol-Version: \(version)") }
        if let session { lines.append("Mcp-Session-Id: \(session)") }
        return lines
    }

    /// Of a GET that asks for the rest of a stream (2025-11-25, "Resumability and Redelivery").
    package static func lines(from place: EventPlace, version: String?, session: String?) -> [String] {
        var lines = ["Accept: text/event-stream", "Last-Event-ID: \(place.id)"]
        if let version { lines.append("MCP-Protocol-Version: \(version)") }
        if let session { lines.append("Mcp-Session-Id: \(session)") }
        return lines
    }
}

/// What came of a request.
package struct WebAnswer: Sendable {
    package enum End: Sendable, Hashable {
        case done
        /// Whoever took the events wanted no more.
        case enough
        case tooLong
        case timedOut
        case cancelled
        /// It was not to be sent any more: nothing of its body was.
        case withdrawn
        /// Why, in the library's words.
        case failed(String)
    }

    package var end: End
    /// 0 where no answer came.
    package var status: Int
    /// Whether anything of the request's body was written.
    package var wasSent: Bool
    /// The media type, without its parameters; empty where none is said.
    package var type: String
    package var isStream: Bool
    /// Where its stream was broken off.
    package var place: EventPlace
    /// `Mcp-Session-Id`.
    package var session: String?
    /// Of an answer that is not a stream.
    package var body: [UInt8]

    /// Whether the stream is one of messages: of an error it is not.
    package var hasGoodStream: Bool { isStream && (200..<300).contains(status) }
}
