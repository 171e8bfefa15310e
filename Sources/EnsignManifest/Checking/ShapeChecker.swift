import EnsignJSON
import EnsignModel
import EnsignYAML

/// Checks a document against its declared shape.
///
/// Recursion follows the shape and the document together; the parser has limited both to 64 levels.
struct ShapeChecker {
    let tape: YAMLTape
    var findings: FindingCollector
    /// Whether metrics may have names unknown to telemetry: `ensign judge` receives samples from outside.
    var takesAnyMetric = false

    /// Checks `node`; `name` says what it is, for messages.
    mutating func check(_ node: Int, _ shape: Shape, _ name: String) {
        let kind = tape.kind(of: node)
        guard kind != .invalid else { return }
        switch shape {
        case .text(let form): checkText(node, form, name)
        case .textOr(let form, let fields): checkTextOr(node, form, fields, name)
        case .oneOrMore(let form, let count):
            check(node, kind == .sequence ? .list(.text(form), count: count) : .text(form), name)
        case .integer(let range): checkInteger(node, range, name)
        case .number(let range): checkNumber(node, range, name)
        case .boolean: checkBoolean(node, name, "true or false")
        case .booleanOr(let word):
            if kind == .plain || kind == .quoted, tape.string(of: node) == word { return }
            checkBoolean(node, name, "true, false or \(word)")
        case .list(let element, let count): checkList(node, of: element, count, name)
        case .record(let fields): checkRecord(node, fields, name)
        case .choice(let fields):
            checkRecord(node, fields, name)
            if kind == .mapping { checkExactlyOne(node, fields, name) }
        case .form(let forms): checkForm(node, forms, name)
        case .map(let keys, let values, let count): checkMap(node, keys, values, count, name)
        case .object:
            guard kind == .mapping else { return wrongType(node, name, "a mapping") }
            checkAnything(node, name, isSchema: false)
        case .schema: checkSchema(node, name)
        case .argumentSchema: checkSchema(node, name, limitsCalls: true)
        case .margin: checkMargin(node, name)
        case .agent(let fields):
            checkRecord(node, fields, name)
            if kind == .mapping { checkAgent(node) }
        case .canary(let fields):
            checkRecord(node, fields, name)
            if kind == .mapping { checkCanary(node) }
        case .metric(let fields):
            checkRecord(node, fields, name)
            if kind == .mapping { checkMetric(node) }
        }
    }

    // MARK: Numbers and lists

    private mutating func checkInteger(_ node: Int, _ range: ClosedRange<Int64>, _ name: String) {
        guard let scalar = number(node, name, "a whole number") else { return }
        guard case .integer(let value) = scalar else {
            return error("wrong-type", "\(name) must be a whole number", node)
        }
        if !range.contains(value) {
            error("out-of-range", "\(name) must be from \(range.lowerBound) to \(range.upperBound)", node)
        }
    }

    private mutating func checkNumber(_ node: Int, _ range: ClosedRange<Double>, _ name: String) {
        guard let scalar = number(node, name, "a number") else { return }
        let value: Double =
            switch scalar {
            case .integer(let value): Double(value)
            case .number(let value): value
            default: 0
            }
        if !range.contains(value) {
            error(
                "out-of-range",
                "\(name) must be from \(short(range.lowerBound)) to \(short(range.upperBound))",
                node
            )
        }
    }

    private mutating func checkList(_ node: Int, of element: Shape, _ count: ClosedRange<Int>, _ name: String) {
        guard tape.kind(of: node) == .sequence else {
            return wrongType(node, name, "a list", hint: "write it as [a, b] or as lines that start with '- '")
        }
        let elements = tape.count(of: node)
        if elements < count.lowerBound { error("too-few", "\(name) must not be empty", node) }
        if elements > count.upperBound {
            error("too-many", "\(name) has more than \(count.upperBound) elements", node)
        }
        var children: [Int] = []
        tape.forEachElement(of: node) { children.append($0) }
        for child in children.prefix(count.upperBound) { check(child, element, "an element of \(name)") }
        if case .metric = element { checkUnique(children.prefix(count.upperBound)) }
    }

    // MARK: Records

    private mutating func checkRecord(_ node: Int, _ fields: [Field], _ name: String) {
        guard tape.kind(of: node) == .mapping else {
            if checkSecret(node, in: name) { return }
            return wrongType(
                node,
                name,
                "a mapping",
                hint: fields.isEmpty ? "write {}" : "its fields: \(fields.map(\.name).joined(separator: ", "))"
            )
        }
        var pairs: [(key: Int, value: Int)] = []
        pairs.reserveCapacity(tape.count(of: node))
        tape.forEachPair(of: node) { pairs.append(($0, $1)) }
        var seen: UInt64 = 0
        for (key, value) in pairs {
            guard let index = fields.firstIndex(where: { tape.matches(key, $0.bytes) }) else {
                unknownField(key, fields, name)
                _ = checkSecret(value, in: name)
                continue
            }
            seen |= 1 << UInt64(index)
            check(value, fields[index].shape, fields[index].name)
        }
        // Where a syntax error cut the document off, a missing field may only be unread.
        guard tape.isComplete else { return }
        for (index, field) in fields.enumerated() where field.isRequired && seen & (1 << UInt64(index)) == 0 {
            error("missing-field", "\(name) needs '\(field.name)': \(field.summary.lowercasedFirst)", node)
        }
    }

    /// Whether a value at or in `credentials`, in place of a reference, is treated as a secret: no output shows it.
    private mutating func checkSecret(_ node: Int, in name: String) -> Bool {
        guard name == "credentials", tape.kind(of: node) == .plain || tape.kind(of: node) == .quoted else {
            return false
        }
        let before = findings.findings.count
        checkText(node, .credentials, name)
        return findings.findings.count > before
    }

    private mutating func checkTextOr(_ node: Int, _ form: TextForm, _ fields: [Field], _ name: String) {
        guard tape.kind(of: node) == .mapping else { return checkText(node, form, name) }
        checkRecord(node, fields, name)
        guard tape.isComplete, tape.count(of: node) == 0, !fields.contains(where: \.isRequired) else { return }
        let names = fields.map(\.name).joined(separator: " or ")
        error("missing-field", "\(name) needs \(names): without one it selects nothing in particular", node)
    }

    private mutating func checkForm(_ node: Int, _ forms: [[Field]], _ name: String) {
        let telling = forms.compactMap(\.first)
        let set = forms.filter { form in tape.value(in: node, for: form[0].bytes) != nil }
        if set.count == 1 { return checkRecord(node, set[0], name) }
        // The intended form is unclear: the fields of all forms are accepted, and none is required.
        var known: [Field] = []
        for var field in forms.joined() where !known.contains(where: { $0.name == field.name }) {
            field.isRequired = false
            known.append(field)
        }
        checkRecord(node, known, name)
        if tape.kind(of: node) == .mapping { checkExactlyOne(node, telling, name) }
    }

    private mutating func checkExactlyOne(_ node: Int, _ fields: [Field], _ name: String) {
        guard tape.isComplete, fields.count(where: { tape.value(in: node, for: $0.bytes) != nil }) != 1 else { return }
        error("not-one-of", "\(name) must have exactly one of: \(fields.map(\.name).joined(separator: ", "))", node)
    }

    private mutating func unknownField(_ key: Int, _ fields: [Field], _ name: String) {
        guard tape.kind(of: key) == .plain || tape.kind(of: key) == .quoted else { return }
        // What is in the place of a reference may be the secret itself.
        if name == "credentials" {
            return error("unknown-field", "credentials has an unknown field", key, hint: "it has one: ref")
        }
        let text = tape.string(of: key)
        let names = fields.map(\.name)
        error(
            "unknown-field",
            "unknown field '\(text.cut(utf8: 80))'",
            key,
            hint: Suggestion.nearest(to: text, in: names).map { "did you mean '\($0)'?" }
                ?? (names.isEmpty ? "\(name) has no fields" : "fields here: \(names.joined(separator: ", "))")
        )
    }

    private mutating func checkMap(
        _ node: Int,
        _ keys: TextForm,
        _ values: Shape,
        _ count: ClosedRange<Int>,
        _ name: String
    ) {
        guard tape.kind(of: node) == .mapping else { return wrongType(node, name, "a mapping") }
        let pairs = tape.count(of: node)
        if pairs < count.lowerBound { error("too-few", "\(name) must not be empty", node) }
        if pairs > count.upperBound { error("too-many", "\(name) has more than \(count.upperBound) entries", node) }
        var children: [(Int, Int)] = []
        tape.forEachPair(of: node) { children.append(($0, $1)) }
        for (key, value) in children.prefix(count.upperBound) {
            checkText(key, keys, "a key of \(name)", isKey: true)
            check(value, values, tape.string(of: key))
        }
    }

    // MARK: Scalars

    /// A key is text: like where text is wanted, `no` and `2026-01-01` are, and what no reader takes for text is not.
    ///
    /// - Returns: Whether it is text.
    @discardableResult
    private mutating func checkKey(_ node: Int) -> Bool {
        guard tape.kind(of: node) == .plain else { return true }
        let found: String
        switch Scalar(plain: tape.bytes(of: node)) {
        case .null: found = "nothing"
        case .boolean: found = "a boolean"
        case .integer, .number, .outOfRange: found = "a number"
        case .ambiguous where tape.string(of: node) == "~": found = "nothing"
        case .text, .ambiguous: return true
        }
        let text = tape.string(of: node).cut(utf8: 40)
        error("wrong-type", "a key must be text, and '\(text)' is \(found)", node, hint: "quote it: \"\(text)\"")
        return false
    }

    private mutating func checkText(_ node: Int, _ form: TextForm, _ name: String, isKey: Bool = false) {
        switch tape.kind(of: node) {
        case .mapping, .sequence: return wrongType(node, name, form.title)
        case .invalid: return
        case .quoted: break
        case .plain where isKey:
            guard checkKey(node) else { return }
        case .plain where form.takesAnyScalar: break
        case .plain:
            switch Scalar(plain: tape.bytes(of: node)) {
            case .null:
                return error(
                    "missing-value",
                    "\(name) has no value",
                    node,
                    hint: "write \(form.title), or remove the field"
                )
            case .boolean(let value):
                return error(
                    "wrong-type",
                    "\(name) must be \(form.title), and '\(value)' is a boolean",
                    node,
                    hint: "quote it: \"\(value)\""
                )
            default: break
            }
        }
        let bytes = tape.bytes(of: node)
        guard bytes.count <= form.maxBytes else {
            return error("too-long", "\(name) is longer than \(form.maxBytes) bytes", node)
        }
        let text = String(decoding: bytes, as: UTF8.self)
        if let problem = form.problem(text) {
            error(
                form.code,
                "\(name): \(problem)",
                node,
                hint: form.code == "literal-secret"
                    ? "move it to your secret store, name its place there, such as vault:payments, and rotate it"
                    : form.values.flatMap { Suggestion.nearest(to: text, in: $0) }.map { "did you mean '\($0)'?" }
            )
        }
    }

    private mutating func checkBoolean(_ node: Int, _ name: String, _ wanted: String) {
        guard tape.kind(of: node) == .plain else { return wrongType(node, name, wanted) }
        switch Scalar(plain: tape.bytes(of: node)) {
        case .boolean: return
        case .ambiguous:
            let text = tape.string(of: node)
            let positive = ["y", "yes", "true", "on"].contains(text.lowercased())
            let negative = ["n", "no", "false", "off"].contains(text.lowercased())
            error(
                "ambiguous-scalar",
                "'\(text)' is text here, and \(name) must be \(wanted)",
                node,
                hint: positive ? "write true" : negative ? "write false" : nil
            )
        default: wrongType(node, name, wanted)
        }
    }

    private mutating func number(_ node: Int, _ name: String, _ wanted: String) -> Scalar? {
        guard tape.kind(of: node) == .plain else {
            wrongType(node, name, wanted, hint: tape.kind(of: node) == .quoted ? "remove the quotes" : nil)
            return nil
        }
        let scalar = Scalar(plain: tape.bytes(of: node))
        switch scalar {
        case .integer, .number: return scalar
        case .ambiguous:
            error(
                "ambiguous-scalar",
                "'\(tape.string(of: node).cut(utf8: 40))' is not a JSON number, and \(name) must be \(wanted)",
                node,
                hint: "write digits, such as 8 or 0.5"
            )
        case .outOfRange: error("out-of-range", "\(name) is too large to be held exactly", node)
        case .null, .boolean, .text: wrongType(node, name, wanted)
        }
        return nil
    }

    private mutating func checkMargin(_ node: Int, _ name: String) {
        if tape.kind(of: node) == .plain || tape.kind(of: node) == .quoted {
            let text = tape.string(of: node)
            if text.hasSuffix("%") {
                let parts = text.dropLast().split(separator: ".", omittingEmptySubsequences: false)
                let isDecimal =
                    parts.count <= 2
                    && parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
                if isDecimal, let value = Double(text.dropLast()), (0...1_000).contains(value) { return }
                return error("out-of-range", "\(name): '\(text)' is not a percentage from 0% to 1000%", node)
            }
        }
        check(node, .number(0...1_000_000_000), name)
    }

    // MARK: Any value

    private mutating func checkSchema(_ node: Int, _ name: String, limitsCalls: Bool = false) {
        let before = findings.findings.count
        let clamped = tape.clampedBounds(below: node)
        checkAnything(node, name, isSchema: true, except: clamped)
        guard findings.findings.count == before, let value = JSONValue(tape, node, replacements: clamped) else {
            return
        }
        for problem in lintSchema(value) {
            let place = tape.node(at: problem.pointer, below: node)
            findings.add(
                problem.severity == .error ? .error : .warning,
                problem.code.rawValue,
                "\(name): \(problem.message)",
                at: Position(tape.mark(of: place)),
                hint: problem.suggestion.map { "did you mean '\($0)'?" }
            )
        }
        // Only a valid schema has limits.
        guard limitsCalls, findings.findings[before...].allSatisfy({ $0.severity == .warning }) else { return }
        for problem in UntypedLimits(in: value).problems {
            let place = tape.node(at: problem.pointer, below: node)
            findings.add(
                .warning,
                SchemaProblem.Code.untypedLimit.rawValue,
                "\(name): \(problem.message)",
                at: Position(tape.mark(of: place)),
                hint: problem.hint
            )
        }
    }

    /// Where any JSON value is allowed, a scalar that YAML readers interpret differently is refused.
    private mutating func checkAnything(
        _ node: Int,
        _ name: String,
        isSchema: Bool,
        except clamped: [Int: JSONValue] = [:]
    ) {
        var index = node
        let end = tape.end(of: node)
        var keys: Set<Int> = []
        while index < end {
            switch tape.kind(of: index) {
            case .mapping:
                tape.forEachPair(of: index) { key, _ in keys.insert(key) }
                tape.forEachPair(of: index) { key, _ in checkKey(key) }
            case .plain where !keys.contains(index) && clamped[index] == nil:
                checkAnyScalar(index, name, isSchema: isSchema)
            case .sequence, .quoted, .plain, .invalid: break
            }
            index += 1
        }
    }

    private mutating func checkAnyScalar(_ node: Int, _ name: String, isSchema: Bool) {
        let bytes = tape.bytes(of: node)
        switch Scalar(plain: bytes) {
        case .ambiguous:
            let text = tape.string(of: node).cut(utf8: 40)
            error(
                "ambiguous-scalar",
                "'\(text)' may be read as text or as something else",
                node,
                hint: "quote it if it is text: \"\(text)\""
            )
        case .outOfRange: error("out-of-range", "\(name): the number is too large to be held exactly", node)
        case .number where !isSchema && bytes.last == 0x30 && !bytes.contains { $0 | 0x20 == 0x65 }:
            let text = tape.string(of: node)
            error(
                "ambiguous-scalar",
                "'\(text)' would lose its last zero as a number",
                node,
                hint: "quote it if it is text: \"\(text)\""
            )
        case .null where bytes.isEmpty:
            error("missing-value", "a value is missing in \(name)", node, hint: "write null if nothing is meant")
        default: break
        }
    }

    // MARK: Findings

    private mutating func wrongType(_ node: Int, _ name: String, _ wanted: String, hint: String? = nil) {
        let found =
            switch tape.kind(of: node) {
            case .mapping: "a mapping"
            case .sequence: "a list"
            case .quoted: "text"
            case .plain:
                switch Scalar(plain: tape.bytes(of: node)) {
                case .null: "nothing"
                case .boolean: "a boolean"
                case .integer, .number, .outOfRange: "a number"
                case .text, .ambiguous: "text"
                }
            case .invalid: "nothing"
            }
        error("wrong-type", "\(name) must be \(wanted), and this is \(found)", node, hint: hint)
    }

    mutating func error(
        _ code: String,
        _ message: String,
        _ node: Int,
        hint: @autoclosure () -> String? = nil
    ) {
        findings.error(code, message, at: Position(tape.mark(of: node)), hint: hint())
    }

    private func short(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }
}

extension String {
    /// The text with its first letter in lower case, to continue a sentence.
    fileprivate var lowercasedFirst: String {
        guard let first, !dropFirst().prefix(1).allSatisfy(\.isUppercase) else { return self }
        return first.lowercased() + dropFirst()
    }
}
