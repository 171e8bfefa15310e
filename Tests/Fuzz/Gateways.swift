import EnsignJSON
import EnsignModel

@testable import EnsignGateway
@testable import EnsignMCP

/// Messages of a client by lines, as of a connection; events of a server in pieces.
func messages(_ bytes: [UInt8]) {
    for line in bytes.split(separator: 0x0A).prefix(50) {
        let line = Array(line)
        _ = ClientMessage.memory(for: line)
        switch ClientMessage(line) {
        case .defect(let id, let error):
            let answer = Reply.message(id, error).canonicalBytes()
            must((try? JSONParser.parse(answer)) != nil, "the answer to a defect is not JSON")
        case .request, .notification, .badNotification, .answer: break
        }
        _ = SocketOpening(line)
        _ = TraceContext.trace(of: String(decoding: line, as: UTF8.self))
    }
    var whole = EventStream()
    whole.add(bytes)
    var pieces = EventStream()
    var (one, other): ([[UInt8]], [[UInt8]]) = ([], [])
    while let event = whole.next() { one.append(event) }
    for piece in stride(from: 0, to: bytes.count, by: 7) {
        pieces.add(bytes[piece..<min(piece + 7, bytes.count)])
        while let event = pieces.next() { other.append(event) }
    }
    must(one == other, "in pieces it has other events")
}

/// Files that a gateway wrote, or is given: log lines, heads, requests, keys of an issuer and their tokens.
func gatewayRecords(_ bytes: [UInt8]) {
    if let line = LogLine(bytes) {
        must(LogLine(line.bytes)?.json == line.json, "a line is another one when it is read again")
        _ = line.previous
    }
    if let head = LogHead(bytes) { mustSettle(head, \.json) { LogHead($0.canonicalBytes()) } }
    if let request = ApprovalRequest(bytes) { _ = request.json }
    if let keys = try? TokenKeys(bytes) { must(!keys.keys.isEmpty, "a set without keys") }
}
