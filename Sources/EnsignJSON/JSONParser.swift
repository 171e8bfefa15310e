import CJSONSchema
package import EnsignModel

/// Reads JSON (RFC 8259) strictly.
package enum JSONParser {
    /// The largest `maxDepth` that ``parse(_:maxDepth:)`` accepts: values are built and freed recursively.
    package static let depthLimit = 512

    /// Reads one value.
    ///
    /// Numbers beyond 64-bit integers become doubles; whole doubles within ±2^53 become integers.
    ///
    /// - Parameters:
    ///   - bytes: UTF-8 without byte order mark, one value, whitespace around it. At most 2 GiB.
    ///   - maxDepth: The most arrays and objects within one another, in `1...512`.
    /// - Returns: The value that the bytes describe.
    /// - Throws: ``JSONError`` for anything else, with its place; also for repeated keys, which RFC 8259 leaves open.
    package static func parse(_ bytes: [UInt8], maxDepth: Int = 64) throws(JSONError) -> JSONValue {
        let result = unsafe bytes.withUnsafeBytes { (bytes) -> Result<JSONValue, JSONError> in
            Result { () throws(JSONError) in try unsafe parse(bytes, maxDepth: maxDepth) }
        }
        return try result.get()
    }

    /// Reads what was not written for Ensign: a byte order mark in front is passed over (RFC 8259, section 8.1), and what is
    /// nested deeper than a manifest may be is for the reader to judge.
    package static func parse(foreign bytes: [UInt8]) throws(JSONError) -> JSONValue {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        return try parse(bytes.starts(with: mark) ? Array(bytes.dropFirst(mark.count)) : bytes, maxDepth: depthLimit)
    }

    /// Reads borrowed bytes, as ``parse(_:maxDepth:)`` does.
    package static func parse(
        _ bytes: UnsafeRawBufferPointer,
        maxDepth: Int = 64
    ) throws(JSONError) -> JSONValue {
        precondition((1...depthLimit).contains(maxDepth), "maxDepth is within 1...\(depthLimit)")
        let read = unsafe cjs_document_read(bytes.baseAddress, bytes.count, UInt32(maxDepth))
        guard let document = unsafe read else { fatalError("not enough memory to read JSON") }
        defer { unsafe cjs_document_free(document) }

        if let code = unsafe JSONError.Code(status: document.pointee.status) {
            throw unsafe JSONError(
                code,
                at: document.pointee.error_offset,
                in: bytes,
                message: lastMessage()
            )
        }
        var builder = unsafe Builder(document: document, source: bytes)
        return try unsafe builder.value()
    }
}

extension JSONError.Code {
    /// - Returns: `nil` if nothing is wrong.
    fileprivate init?(status: Int32) {
        switch Int(status) {
        case Int(CJS_OK): return nil
        case Int(CJS_TOO_DEEP): self = .tooDeep
        case Int(CJS_NUMBER_OUT_OF_RANGE): self = .numberOutOfRange
        case Int(CJS_TOO_LARGE): self = .tooLarge
        case Int(CJS_NO_MEMORY): fatalError("not enough memory to read JSON")
        default: self = .syntax
        }
    }
}

/// Makes a value of a document's nodes. Recursion is bounded by the depth with which the document was read.
@unsafe
private struct Builder {
    let nodes: UnsafeBufferPointer<cjs_node>
    let text: UnsafeRawBufferPointer
    let source: UnsafeRawBufferPointer
    var next = 0

    init(document: UnsafePointer<cjs_document>, source: UnsafeRawBufferPointer) {
        unsafe nodes = UnsafeBufferPointer(start: document.pointee.nodes, count: document.pointee.node_count)
        unsafe text = UnsafeRawBufferPointer(start: document.pointee.text, count: Int(UInt32.max))
        unsafe self.source = source
    }

    mutating func value() throws(JSONError) -> JSONValue {
        let node = unsafe nodes[next]
        unsafe next += 1
        switch Int(node.kind) {
        case Int(CJS_FALSE): return .bool(false)
        case Int(CJS_TRUE): return .bool(true)
        case Int(CJS_INTEGER): return .integer(Int64(bitPattern: node.payload))
        case Int(CJS_NUMBER): return JSONValue(Double(bitPattern: node.payload))
        case Int(CJS_STRING): return unsafe .string(content(node))
        case Int(CJS_ARRAY): return .array(try unsafe elements(count: Int(node.payload)))
        case Int(CJS_OBJECT): return .object(try unsafe members(count: Int(node.payload)))
        default: return .null
        }
    }

    private mutating func elements(count: Int) throws(JSONError) -> [JSONValue] {
        var elements: [JSONValue] = []
        elements.reserveCapacity(count)
        for _ in 0..<count {
            elements.append(try unsafe value())
        }
        return elements
    }

    private mutating func members(count: Int) throws(JSONError) -> JSONObject {
        var members: [JSONObject.Element] = []
        var keys: [Int] = []
        members.reserveCapacity(count)
        keys.reserveCapacity(count)
        for _ in 0..<count {
            unsafe keys.append(next)
            let key = unsafe content(nodes[next])
            unsafe next += 1
            members.append((key, try unsafe value()))
        }
        switch JSONObject.unique(members) {
        case .success(let object):
            return object
        case .failure(let duplicate):
            // The key's node knows where the lexer was after its closing quote.
            let end = unsafe Int(nodes[keys[duplicate.index]].payload)
            throw unsafe JSONError(
                .duplicateKey,
                at: startOfString(endingAt: end),
                in: source,
                message: "the key \(members[duplicate.index].key.quotedExcerpt) is repeated"
            )
        }
    }

    private func content(_ node: cjs_node) -> String {
        unsafe String(decoding: text[Int(node.text)..<Int(node.text_end)], as: UTF8.self)
    }

    /// The offset of the opening quote. Inside a JSON string, a quote follows an odd number of backslashes.
    private func startOfString(endingAt end: Int) -> Int {
        var index = end - 2
        while index > 0 {
            if unsafe source[index] == UInt8(ascii: "\"") {
                var backslashes = 0
                while index - backslashes > 0, unsafe source[index - backslashes - 1] == UInt8(ascii: "\\") {
                    backslashes += 1
                }
                if backslashes.isMultiple(of: 2) { return index }
            }
            index -= 1
        }
        return 0
    }
}
