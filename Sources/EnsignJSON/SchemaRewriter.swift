import EnsignModel

/// Writes a linted schema in a form that valijson 1.0 reads correctly.
///
/// - Annotations are dropped. valijson would check `format`, with regular expressions of its own.
/// - `const` and `enum` become `ensign:const` and `ensign:enum`: arrays of canonical texts, compared as such.
/// - Definitions get numbers for names, because valijson reads its JSON Pointers loosely. Only those in use are written.
/// - A definition with `propertyNames` goes into an `allOf`: valijson caches definitions by path, and confuses the
///   schema in `propertyNames` with the one around it.
/// - Whole numbers beyond 64 bits are written as fractions, because valijson wraps them around.
struct SchemaRewriter {
    /// The linter must have accepted the schema.
    init(_ schema: JSONValue) {
        root = schema
        bytes.reserveCapacity(1024)
        write(schema, isRoot: true)
    }

    private(set) var bytes: [UInt8] = []
    /// All patterns in one.
    private(set) var patterns: [UInt8] = []
    private(set) var patternEnds: [UInt32] = []

    private let root: JSONValue
    private var numbers: [SchemaReference: Int] = [:]
    /// Definitions in use, by number.
    private var used: [SchemaReference] = []

    private mutating func write(_ schema: JSONValue, isRoot: Bool = false) {
        guard case .object(let keywords) = schema else { return schema.appendCanonical(to: &bytes) }
        var isFirst = true
        bytes.append(UInt8(ascii: "{"))
        if case .string(let reference)? = keywords[SchemaKeyword.ref.rawValue] {
            start(SchemaKeyword.ref.rawValue, &isFirst)
            write(referenceTo: reference)
        } else {
            for (name, value) in keywords {
                guard let keyword = SchemaKeyword.named(name), !keyword.isAnnotation else { continue }
                write(keyword, value, &isFirst)
            }
        }
        if isRoot { writeDefinitions(&isFirst) }
        bytes.append(UInt8(ascii: "}"))
    }

    /// Definitions may lead to further ones.
    private mutating func writeDefinitions(_ isFirst: inout Bool) {
        if used.isEmpty { return }
        start(SchemaKeyword.defs.rawValue, &isFirst)
        bytes.append(UInt8(ascii: "{"))
        var isFirst = true
        var number = 0
        while number < used.count {
            let reference = used[number]
            let definition = root[reference.container]?[reference.name] ?? true
            start(String(number), &isFirst)
            if definition[SchemaKeyword.propertyNames.rawValue] != nil {
                bytes.append(contentsOf: #"{"allOf":["#.utf8)
                write(definition)
                bytes.append(contentsOf: "]}".utf8)
            } else {
                write(definition)
            }
            number += 1
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
        case .definitions, .reference, .anything, .text, .list, .dialect:
            break
        }
    }

    private mutating func write(referenceTo text: String) {
        let reference = SchemaReference(text) ?? SchemaReference(container: SchemaKeyword.defs.rawValue, name: "")
        let number = numbers[reference] ?? used.count
        if number == used.count {
            numbers[reference] = number
            used.append(reference)
        }
        bytes.append(contentsOf: "\"#/$defs/\(number)\"".utf8)
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
