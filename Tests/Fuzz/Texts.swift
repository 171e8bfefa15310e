import EnsignImport
import EnsignJSON
import EnsignMCP
import EnsignModel

/// What is read is written in its canonical form, which is its own canonical form.
func json(_ bytes: [UInt8]) {
    guard let value = try? JSONParser.parse(bytes) else { return }
    let canonical = value.canonicalBytes()
    guard let again = try? JSONParser.parse(canonical) else { fatalError("its canonical form is not JSON: \(value)") }
    must(again == value, "its canonical form says something else: \(value)")
    must(again.canonicalBytes() == canonical, "its canonical form has another one: \(value)")
}

/// A schema in the first line, values in the others: without errors it compiles, and judges the same twice.
func schemas(_ bytes: [UInt8]) {
    let lines = bytes.split(separator: 0x0A, maxSplits: 4)
    guard let first = lines.first, let schema = try? JSONParser.parse(Array(first)) else { return }
    let problems = lintSchema(schema)
    must(problems.count <= 100, "\(problems.count) problems")
    guard !problems.contains(where: { $0.severity == .error }) else {
        must((try? JSONSchema(schema)) == nil, "it has errors, and compiles")
        return
    }
    let compiled: JSONSchema
    do { compiled = try JSONSchema(schema) } catch { fatalError("no errors, and it does not compile: \(error)") }
    for line in lines.dropFirst() {
        guard let value = try? JSONParser.parse(Array(line)) else { continue }
        let violations = compiled.validate(value)
        must(compiled.validate(value) == violations, "it judges twice")
        must(compiled.validate(value, limit: 1).isEmpty == violations.isEmpty, "one violation is enough")
    }
}

/// Descriptions that others wrote: OpenAPI and what a server offers.
func foreign(_ bytes: [UInt8]) {
    if let document = try? ForeignDocument.read(bytes) { _ = try? OpenAPIDocument(document) }
    _ = try? ServerListing(answer: bytes)
    let plain = CommentedJSON.plain(bytes)
    must(plain.count == bytes.count, "comments take no place")
    must((try? JSONParser.parse(bytes)) == nil || plain == bytes, "JSON without comments is as it was")
}
