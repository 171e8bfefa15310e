import EnsignJSON
import EnsignModel

/// One message of a client, read strictly: what has two readings has none.
///
/// Pure. The bytes are one JSON text (RFC 8259) without repeated keys, at most 64 levels deep and 4 MiB long.
enum ClientMessage: Sendable {
    case request(ClientRequest)
    case notification(method: String, parameters: JSONObject)
    /// A notification that cannot be taken: nobody waits for an answer to it.
    case badNotification(ProtocolError)
    /// An answer, though nothing is ever asked.
    case answer
    /// What cannot be taken: the message to send back.
    case defect(id: JSONValue, ProtocolError)

    /// The most bytes of one message.
    static let most = 4 << 20

    /// A message of so many bytes takes no memory that would have to be counted.
    static let short = 65_536

    /// Beyond it two whole numbers may be one double (RFC 8259, section 6).
    private static let exact: Int64 = 1 << 53

    init(_ bytes: [UInt8]) {
        guard bytes.count <= Self.most else {
            self = .defect(id: .null, ProtocolError(ProtocolError.unreadable, Self.tooLong))
            return
        }
        do throws(JSONError) {
            self.init(try JSONParser.parse(bytes), bytes)
        } catch {
            let text = "not JSON that has one reading: \(error.description.onOneLine(utf8: 200))"
            self = .defect(id: .null, ProtocolError(ProtocolError.unreadable, text))
        }
    }

    /// About how many bytes more a message takes once it is read: a value is far larger than the two bytes that it may be
    /// written with. What is short is not counted.
    static func memory(for bytes: [UInt8]) -> Int {
        guard bytes.count > short else { return 0 }
        var values = 0
        for byte in bytes where byte == UInt8(ascii: ",") || byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") {
            values += 1
        }
        return values * 48
    }

    static let tooLong = "a message is longer than \(most) bytes"

    private init(_ value: JSONValue, _ bytes: [UInt8]) {
        guard let message = value.object else {
            let text = value.array == nil ? "a message is a JSON object" : "batches are not taken: send one message"
            self = .defect(id: .null, ProtocolError(ProtocolError.notAMessage, text))
            return
        }
        let id = Self.id(message["id"])
        let isNotification = message["id"] == nil && message["method"]?.string != nil
        func refuse(_ text: String, _ code: Int64 = ProtocolError.notAMessage) -> ClientMessage {
            let error = ProtocolError(code, text)
            return isNotification ? .badNotification(error) : .defect(id: id ?? .null, error)
        }
        guard message["jsonrpc"] == "2.0" else {
            self = refuse("'jsonrpc' must be \"2.0\"")
            return
        }
        guard let method = message["method"] else {
            let isAnswer = message["result"] != nil || message["error"] != nil
            self = isAnswer ? .answer : refuse("a message has a 'method'")
            return
        }
        guard let method = method.string, !method.isEmpty, method.utf8.count <= 256 else {
            self = refuse("'method' is a text of 1 to 256 bytes")
            return
        }
        if let unknown = message.first(where: { !Self.members.contains($0.key) }) {
            self = refuse("a message has no member \(unknown.key.quoted(utf8: 64))")
            return
        }
        let parameters = message["params"].given ?? [:]
        guard let parameters = parameters.object else {
            self = refuse("'params' is an object", ProtocolError.badParameters)
            return
        }
        guard message["id"] != nil else {
            self = .notification(method: method, parameters: parameters)
            return
        }
        guard let id else {
            self = refuse("'id' is a text or a whole number")
            return
        }
        self = .request(
            ClientRequest(
                id: id,
                method: method,
                parameters: parameters,
                inexact: Self.inexact(.object(parameters), in: bytes)
            )
        )
    }

    private static let members: Set = ["jsonrpc", "id", "method", "params"]

    /// An id that can be given back exactly.
    private static func id(_ value: JSONValue?) -> JSONValue? {
        switch value {
        case .string: value
        case .integer(let number) where number.magnitude <= exact: value
        default: nil
        }
    }

    /// Where there is a number that does not have one reading, as a JSON Pointer (RFC 6901).
    ///
    /// - Parameter bytes: The text that the value was read from.
    private static func inexact(_ value: JSONValue, in bytes: [UInt8]) -> String? {
        guard let first = place(in: value, from: exact) else { return nil }
        // 2^53 itself may be what a number beyond was rounded to: only the text tells.
        return place(in: value, from: exact + 1) ?? (hasRounded(bytes) ? first : nil)
    }

    /// Where the first number is whose magnitude is so large.
    private static func place(in value: JSONValue, from size: Int64) -> String? {
        switch value {
        case .integer(let number): number.magnitude >= size ? "" : nil
        // Whole numbers up to 2^53 are integers; a double beyond has no fraction.
        case .number(let number): number.magnitude > Double(exact) ? "" : nil
        case .array(let elements):
            elements.indices.lazy.compactMap { index in
                place(in: elements[index], from: size).map { "/\(index)\($0)" }
            }.first
        case .object(let members):
            members.lazy.compactMap { key, value in
                place(in: value, from: size).map {
                    "/\(key.replacing("~", with: "~0").replacing("/", with: "~1"))\($0)"
                }
            }.first
        default: nil
        }
    }

    /// Whether a number in a JSON text is 2^53 in another notation than as a whole number, and so may have been rounded to it.
    private static func hasRounded(_ bytes: [UInt8]) -> Bool {
        var isText = false
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") { isText.toggle() }
            if isText {
                index += byte == UInt8(ascii: "\\") ? 2 : 1
            } else if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
                let number = bytes[index...].prefix { "0123456789.eE+-".utf8.contains($0) }
                if number.contains(where: { ".eE".utf8.contains($0) }),
                    Double(String(decoding: number, as: UTF8.self)) == Double(exact)
                {
                    return true
                }
                index += number.count
            } else {
                index += 1
            }
        }
        return false
    }
}

extension JSONValue? {
    /// The value of a member that is there: one that is null is not, as clients write what they leave out.
    var given: JSONValue? { self?.isNull ?? true ? nil : self }
}

/// A message that wants an answer.
struct ClientRequest: Sendable {
    /// A text or a whole number, given back as it came.
    var id: JSONValue
    var method: String
    var parameters: JSONObject
    /// Where there is a number that does not have one reading.
    var inexact: String?

    var meta: JSONObject? { parameters["_meta"]?.object }

    /// Whether it says its version itself (2026-07-28). Only such messages have the key.
    var isStateless: Bool { method != "initialize" && meta?[ProtocolVersion.Meta.version] != nil }
}
