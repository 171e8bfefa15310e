package import EnsignModel
package import EnsignYAML

extension JSONValue {
    /// The value of a node; nil when something in it was refused.
    ///
    /// - Parameter replacements: Values for nodes that have none of their own (``YAMLTape/clampedBounds(below:)``).
    init?(_ tape: YAMLTape, _ node: Int, replacements: [Int: JSONValue] = [:]) {
        switch tape.kind(of: node) {
        case .invalid: return nil
        case .quoted: self = .string(tape.string(of: node))
        case .plain:
            switch Scalar(plain: tape.bytes(of: node)) {
            case .null: self = .null
            case .boolean(let value): self = .bool(value)
            case .integer(let value): self = .integer(value)
            case .number(let value): self = JSONValue(value)
            case .text: self = .string(tape.string(of: node))
            case .outOfRange:
                guard let value = replacements[node] else { return nil }
                self = value
            case .ambiguous: return nil
            }
        case .sequence:
            var elements: [JSONValue] = []
            elements.reserveCapacity(tape.count(of: node))
            var isWhole = true
            tape.forEachElement(of: node) { child in
                if let element = JSONValue(tape, child, replacements: replacements) {
                    elements.append(element)
                } else {
                    isWhole = false
                }
            }
            guard isWhole else { return nil }
            self = .array(elements)
        case .mapping:
            var members: [JSONObject.Element] = []
            members.reserveCapacity(tape.count(of: node))
            var isWhole = true
            tape.forEachPair(of: node) { key, child in
                if let value = JSONValue(tape, child, replacements: replacements) {
                    members.append((tape.string(of: key), value))
                } else {
                    isWhole = false
                }
            }
            guard isWhole, case .success(let object) = JSONObject.unique(members) else { return nil }
            self = .object(object)
        }
    }
}

extension JSONValue {
    /// An operation's fields as they are written, schemas as they are used.
    package init?(operation tape: YAMLTape, _ node: Int) {
        guard tape.kind(of: node) == .mapping else { return nil }
        var fields = JSONObject()
        tape.forEachPair(of: node) { key, value in
            let name = tape.string(of: key)
            let isSchema = name == "input" || name == "output"
            fields[name] = isSchema ? JSONValue(schema: tape, value) : JSONValue(tape, value)
        }
        self = .object(fields)
    }

    /// A schema, with bounds that no number reaches clamped.
    init?(schema tape: YAMLTape, _ node: Int) {
        self.init(tape, node, replacements: tape.clampedBounds(below: node))
    }
}

extension YAMLTape {
    /// Bounds of a schema that are beyond what numbers hold exactly and that keep nothing out (`maximum: 2^63-1`), with
    /// what to use instead.
    ///
    /// Only where schemas are: in `default` and `enum` a number is a value, and stays one.
    func clampedBounds(below schema: Int) -> [Int: JSONValue] {
        var found: [Int: JSONValue] = [:]
        var rest = [schema]
        while let node = rest.popLast() {
            guard kind(of: node) == .mapping else { continue }
            forEachPair(of: node) { key, value in
                let keyword = string(of: key)
                if kind(of: value) == .plain, let bound = clampedBound(keyword, value) { found[value] = bound }
                switch (SchemaPositions.form(of: keyword), kind(of: value)) {
                case (.one, _), (.oneOrList, .mapping): rest.append(value)
                case (.list, .sequence), (.oneOrList, .sequence): forEachElement(of: value) { rest.append($0) }
                case (.members, .mapping), (.membersOrNames, .mapping): forEachPair(of: value) { rest.append($1) }
                default: break
                }
            }
        }
        return found
    }

    private func clampedBound(_ keyword: String, _ node: Int) -> JSONValue? {
        let bytes = bytes(of: node)
        guard case .outOfRange = Scalar(plain: bytes), bytes.allSatisfy({ $0 == 0x2D || (0x30...0x39).contains($0) })
        else { return nil }
        return SchemaTranslation.clamped(keyword, isNegative: bytes.first == 0x2D)
    }

    /// The node that a JSON Pointer's segments lead to below `node`, or the nearest one above it that exists.
    ///
    /// If the last segment names an existing key, it leads to the key itself: that is where people look.
    func node(at pointer: [String], below node: Int) -> Int { walk(pointer, below: node).node }

    /// Whether there is something at a JSON Pointer below `node`.
    func has(_ pointer: [String], below node: Int) -> Bool { walk(pointer, below: node).isWhole }

    private func walk(_ pointer: [String], below node: Int) -> (node: Int, isWhole: Bool) {
        var current = node
        for (depth, segment) in pointer.enumerated() {
            var next: Int?
            switch kind(of: current) {
            case .mapping:
                forEachPair(of: current) { key, value in
                    if matches(key, Array(segment.utf8)) { next = depth == pointer.count - 1 ? key : value }
                }
            case .sequence:
                var index = 0
                forEachElement(of: current) { element in
                    if String(index) == segment { next = element }
                    index += 1
                }
            case .plain, .quoted, .invalid: break
            }
            guard let next else { return (current, false) }
            current = next
        }
        return (current, true)
    }
}

/// Typed access to a checked mapping. Refused values read as absent: the finding already exists.
package struct Record: Sendable {
    let tape: YAMLTape
    let node: Int

    init?(_ tape: YAMLTape, _ node: Int?) {
        guard let node, tape.kind(of: node) == .mapping else { return nil }
        self.tape = tape
        self.node = node
    }

    package var position: Position { Position(tape.mark(of: node)) }

    func node(_ name: StaticString) -> Int? {
        guard tape.kind(of: node) == .mapping else { return nil }
        var child = node + 1
        let end = tape.end(of: node)
        while child < end {
            let value = tape.end(of: child)
            if unsafe tape.bytes(of: child).elementsEqual(
                UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
            ) {
                return value
            }
            child = tape.end(of: value)
        }
        return nil
    }

    /// Whether there is a field of this name, whatever is in it.
    package func has(_ name: String) -> Bool { tape.value(in: node, for: Array(name.utf8)) != nil }

    package func record(_ name: StaticString) -> Record? { Record(tape, node(name)) }

    package func text(_ name: StaticString) -> String? { node(name).flatMap(text) }

    package func located(_ name: StaticString) -> Located<String>? { node(name).flatMap(located) }

    package func boolean(_ name: StaticString) -> Bool? {
        guard let node = node(name), tape.kind(of: node) == .plain,
            case .boolean(let value) = Scalar(plain: tape.bytes(of: node))
        else { return nil }
        return value
    }

    package func integer(_ name: StaticString) -> Int64? {
        guard let node = node(name), tape.kind(of: node) == .plain,
            case .integer(let value) = Scalar(plain: tape.bytes(of: node))
        else { return nil }
        return value
    }

    package func number(_ name: StaticString) -> Double? {
        guard let node = node(name), tape.kind(of: node) == .plain else { return nil }
        switch Scalar(plain: tape.bytes(of: node)) {
        case .integer(let value): return Double(value)
        case .number(let value): return value
        default: return nil
        }
    }

    package func duration(_ name: StaticString) -> TimeSpan? { text(name).flatMap { TimeSpan($0) } }

    package func json(_ name: StaticString) -> JSONValue? { node(name).flatMap { JSONValue(tape, $0) } }

    func schema(_ name: StaticString) -> JSONValue? { node(name).flatMap { JSONValue(schema: tape, $0) } }

    package func choice<Value: RawRepresentable>(_ name: StaticString) -> Value? where Value.RawValue == String {
        text(name).flatMap { Value(rawValue: $0) }
    }

    package func records(_ name: StaticString) -> [Record] {
        elements(name).compactMap { Record(tape, $0) }
    }

    package func texts(_ name: StaticString) -> [Located<String>] { elements(name).compactMap(located) }

    /// A text, or a list of texts.
    func oneOrMore(_ name: StaticString) -> [Located<String>] {
        located(name).map { [$0] } ?? texts(name)
    }

    /// A list of operations, and what is left out of it.
    func selection(_ name: StaticString, except: StaticString) -> OperationSelection {
        OperationSelection(elements(name).compactMap(selector), except: elements(except).compactMap(selector))
    }

    private func selector(_ node: Int) -> Located<OperationSelector>? {
        let position = Position(tape.mark(of: node))
        if let text = text(node) { return Located(text == "*" ? .all : .name(text), at: position) }
        guard let record = Record(tape, node) else { return nil }
        let (access, risk): (Access?, Risk?) = (record.choice("access"), record.choice("risk"))
        // One without a part that was refused would select more than is meant.
        guard (access == nil) == (record.node("access") == nil), (risk == nil) == (record.node("risk") == nil),
            access != nil || risk != nil
        else { return nil }
        return Located(.matching(access: access, risk: risk), at: position)
    }

    /// The records of a mapping by their keys, in the order of the file; what was refused is left out.
    package func entries(_ name: StaticString) -> [(key: Located<String>, value: Record)] {
        guard let node = node(name) else { return [] }
        var result: [(Located<String>, Record)] = []
        tape.forEachPair(of: node) { key, value in
            guard let key = located(key), let value = Record(tape, value) else { return }
            result.append((key, value))
        }
        return result
    }

    /// The texts of a mapping by their keys, in the order of the file.
    package func textEntries(_ name: StaticString) -> [(name: String, value: Located<String>)] {
        pairs(name).compactMap { key, value in located(value).map { (key, $0) } }
    }

    /// Lists of texts in a list.
    package func textLists(_ name: StaticString) -> [[Located<String>]] {
        elements(name).map { list in
            var words: [Located<String>] = []
            if tape.kind(of: list) == .sequence {
                tape.forEachElement(of: list) { words += located($0).map { [$0] } ?? [] }
            }
            return words
        }
    }

    func pairs(_ name: StaticString) -> [(key: String, value: Int)] {
        guard let node = node(name) else { return [] }
        var result: [(String, Int)] = []
        tape.forEachPair(of: node) { key, value in result.append((tape.string(of: key), value)) }
        return result
    }

    func text(_ node: Int) -> String? {
        switch tape.kind(of: node) {
        case .plain, .quoted: tape.string(of: node)
        case .mapping, .sequence, .invalid: nil
        }
    }

    func located(_ node: Int) -> Located<String>? {
        text(node).map { Located($0, at: Position(tape.mark(of: node))) }
    }

    private func elements(_ name: StaticString) -> [Int] {
        guard let node = node(name) else { return [] }
        var result: [Int] = []
        tape.forEachElement(of: node) { result.append($0) }
        return result
    }
}

extension JSONValue {
    /// The value of a node in a document of somebody else's: a scalar that YAML's readers disagree on is text.
    package init?(foreign tape: YAMLTape, _ node: Int) {
        switch tape.kind(of: node) {
        case .invalid: return nil
        case .quoted: self = .string(tape.string(of: node))
        case .plain:
            let text = tape.string(of: node)
            switch Scalar(plain: tape.bytes(of: node)) {
            case .null: self = .null
            case .boolean(let value): self = .bool(value)
            case .integer(let value): self = .integer(value)
            case .number(let value): self = JSONValue(value)
            case .outOfRange: self = Int64(text).map(JSONValue.integer) ?? JSONValue(Double(text) ?? .infinity)
            case .ambiguous: self = text == "~" ? .null : .string(text)
            case .text: self = .string(text)
            }
        case .sequence:
            var elements: [JSONValue] = []
            tape.forEachElement(of: node) { elements.append(JSONValue(foreign: tape, $0) ?? .null) }
            self = .array(elements)
        case .mapping:
            var members: [JSONObject.Element] = []
            tape.forEachPair(of: node) { members.append((tape.string(of: $0), JSONValue(foreign: tape, $1) ?? .null)) }
            guard case .success(let object) = JSONObject.unique(members) else { return nil }
            self = .object(object)
        }
    }
}
