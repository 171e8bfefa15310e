import EnsignModel

/// Writes a linted schema in a form that valijson 1.0 reads correctly: a list of schemas without `$ref`, the root first.
///
/// - It is in draft 7's words first (``SchemaTranslation``), without annotations. valijson would check `format`, with
///   regular expressions of its own.
/// - `const` and `enum` become `ensign:const` and `ensign:enum`: arrays of canonical texts, compared as such.
/// - `$ref` becomes `ensign:ref`, the number of another schema in the list: valijson overflows the stack on references
///   that come back, and confuses some with others.
/// - `contains` with bounds becomes `ensign:contains`: the number of a schema, the least and the most matches.
/// - Whole numbers beyond 64 bits are written as fractions, because valijson wraps them around.
struct SchemaRewriter {
    /// The linter must have accepted the schema.
    init(_ schema: JSONValue) {
        root = SchemaTranslation.plain(schema)
        bytes.reserveCapacity(1024)
        bytes.append(UInt8(ascii: "["))
        write(root)
        // Each may lead to further ones.
        var next = 0
        while next < schemas.count {
            bytes.append(UInt8(ascii: ","))
            write(schemas[next])
            next += 1
        }
        bytes.append(UInt8(ascii: "]"))
    }

    private(set) var bytes: [UInt8] = []
    /// All patterns in one.
    private(set) var patterns: [UInt8] = []
    private(set) var patternEnds: [UInt32] = []

    private let root: JSONValue
    private var numbers: [SchemaReference: Int] = [:]
    /// The schemas behind the root: number 1 comes first.
    private var schemas: [JSONValue] = []

    private mutating func write(_ schema: JSONValue) {
        guard case .object(let keywords) = schema else { return schema.appendCanonical(to: &bytes) }
        var isFirst = true
        bytes.append(UInt8(ascii: "{"))
        let hasBounds = keywords["minContains"] != nil || keywords["maxContains"] != nil
        for (name, value) in keywords {
            guard let keyword = SchemaKeyword.named(name), !keyword.isAnnotation else { continue }
            if keyword == .contains, hasBounds {
                start("ensign:contains", &isFirst)
                schemas.append(value)
                let most = keywords["maxContains"]?.int.map { min($0, Int64(Int32.max)) } ?? -1
                let least = keywords["minContains"]?.int.map { min($0, Int64(Int32.max)) } ?? 1
                JSONValue.array([.integer(Int64(schemas.count)), .integer(least), .integer(most)])
                    .appendCanonical(to: &bytes)
            } else {
                write(keyword, value, &isFirst)
            }
        }
        bytes.append(UInt8(ascii: "}"))
    }

    private mutating func write(_ keyword: SchemaKeyword, _ value: JSONValue, _ isFirst: inout Bool) {
        switch keyword.shape {
        case .anything where keyword == .const:
            start("ensign:const", &isFirst)
            write(texts: [value])
        case .nonEmptyList:
            start("ensign:enum", &isFirst)
            write(texts: value.array ?? [])
        case .number, .positiveNumber:
            start(keyword.rawValue, &isFirst)
            let begin = bytes.endIndex
            value.appendCanonical(to: &bytes)
            if value.int == nil,
                !bytes[begin...].contains(where: { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "e") })
            {
                bytes.append(contentsOf: ".0".utf8)
            }
        case .count where keyword == .minContains || keyword == .maxContains: break
        case .typeNames, .count, .propertyList, .flag:
            start(keyword.rawValue, &isFirst)
            value.appendCanonical(to: &bytes)
        case .pattern:
            start(keyword.rawValue, &isFirst)
            value.appendCanonical(to: &bytes)
            add(pattern: value.string ?? "")
        case .schema:
            start(keyword.rawValue, &isFirst)
            write(value)
        case .nonEmptySchemaList, .schemaOrNonEmptySchemaList:
            start(keyword.rawValue, &isFirst)
            guard case .array(let schemas) = value else { return write(value) }
            write(list: schemas) { rewriter, schema in rewriter.write(schema) }
        case .schemasByName, .schemasByPattern, .schemasOrPropertyListsByName:
            start(keyword.rawValue, &isFirst)
            bytes.append(UInt8(ascii: "{"))
            var isFirst = true
            for (name, value) in value.object ?? [:] {
                start(name, &isFirst)
                if keyword.shape == .schemasByPattern { add(pattern: name) }
                if case .array = value { value.appendCanonical(to: &bytes) } else { write(value) }
            }
            bytes.append(UInt8(ascii: "}"))
        case .reference:
            start("ensign:ref", &isFirst)
            write(referenceTo: value.string ?? "")
        case .definitions, .anything, .text, .list, .dialect, .identifier, .propertyListsByName:
            break
        }
    }

    private mutating func write(referenceTo text: String) {
        let reference = SchemaReference(text) ?? SchemaReference(segments: [])
        let number = numbers[reference] ?? schemas.count + 1
        if number == schemas.count + 1 {
            numbers[reference] = number
            schemas.append(reference.target(in: root) ?? true)
        }
        JSONValue.integer(Int64(number)).appendCanonical(to: &bytes)
    }

    private mutating func write(texts values: [JSONValue]) {
        write(list: values) { rewriter, value in
            JSONValue.appendCanonical(String(decoding: value.canonicalBytes(), as: UTF8.self), to: &rewriter.bytes)
        }
    }

    private mutating func write(list: [JSONValue], each: (inout SchemaRewriter, JSONValue) -> Void) {
        bytes.append(UInt8(ascii: "["))
        for (index, element) in list.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            each(&self, element)
        }
        bytes.append(UInt8(ascii: "]"))
    }

    private mutating func start(_ key: String, _ isFirst: inout Bool) {
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
        isFirst = false
        JSONValue.appendCanonical(key, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func add(pattern: String) {
        patterns.append(contentsOf: pattern.utf8)
        patternEnds.append(UInt32(patterns.count))
    }
}
