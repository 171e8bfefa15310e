import EnsignJSON
package import EnsignModel

/// The contents of a state file: a line of canonical JSON with the format's version, `v`. Data that grows with the
/// fleet has a line for each part, `bytes` in all, so a reader of one part need not parse the others.
package struct StateContents: Sendable {
    /// The members of the first line.
    package var members: JSONObject
    /// The parts, in the order of the file.
    package var records: [StateRecord]

    /// - Parameter json: An object. Its members `v` and `bytes` are the format's own.
    package init(_ json: JSONValue, records: [StateRecord] = []) {
        guard let members = json.object else { preconditionFailure("state is kept in an object") }
        self.members = members
        self.records = records
    }

    package subscript(key: String) -> JSONValue? { members[key] }

    // MARK: The format

    /// - Returns: nil if it is damaged, or in another version of the format.
    init?(bytes: [UInt8], version: Int64) {
        let end = bytes.firstIndex(of: 0x0A) ?? bytes.count
        // Usually there is only one line, which may be large: it is not copied.
        let rest = bytes.dropFirst(end + 1)
        guard let header = try? JSONParser.parse(rest.isEmpty ? bytes : Array(bytes[..<end])),
            let members = header.object, members["v"]?.int == version,
            // A truncated file must not count as whole.
            (members["bytes"]?.int ?? 0) == rest.count
        else { return nil }
        var records: [StateRecord] = []
        for line in rest.split(separator: 0x0A) {
            guard let record = StateRecord(line: line) else { return nil }
            records.append(record)
        }
        self.members = members
        self.records = records
    }

    func bytes(version: Int64) -> [UInt8] {
        var members = members
        members["v"] = .integer(version)
        let size = records.reduce(0) { $0 + $1.line.count + 1 }
        members["bytes"] = records.isEmpty ? nil : .integer(Int64(size))
        var bytes: [UInt8] = []
        JSONValue.object(members).appendCanonical(to: &bytes)
        bytes.append(0x0A)
        for record in records {
            bytes += record.line
            bytes.append(0x0A)
        }
        return bytes
    }
}

/// One part of what is kept: a line `["key",value]`.
package struct StateRecord: Sendable {
    /// Only characters that Ensign uses in names: no quotation mark, no backslash, nothing below a space.
    package let key: String
    let line: ArraySlice<UInt8>
    private let start: Int

    package init(_ key: String, _ value: JSONValue) {
        precondition(key.utf8.allSatisfy(Self.isPlain), "a key is a name")
        var bytes: [UInt8] = []
        JSONValue.array([.string(key), value]).appendCanonical(to: &bytes)
        self.key = key
        line = bytes[...]
        start = key.utf8.count + 4
    }

    /// Reads only the key.
    init?(line: ArraySlice<UInt8>) {
        guard line.count >= 6, line.starts(with: #"[""#.utf8), line.last == UInt8(ascii: "]") else { return nil }
        let key = line.dropFirst(2).prefix(while: Self.isPlain)
        guard line[key.endIndex...].starts(with: #"","#.utf8) else { return nil }
        self.key = String(decoding: key, as: UTF8.self)
        self.line = line
        start = key.count + 4
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    /// Parsed on demand; nil when damaged.
    package var value: JSONValue? { try? JSONParser.parse(Array(line.dropFirst(start).dropLast())) }
}
