import CJSONSchema
import EnsignModel

/// A value laid out for validation (`cjs_instance`): its canonical text, and nodes that point into it.
struct Instance {
    private(set) var nodes: [cjs_node] = []
    private(set) var text: [UInt8] = []
    private(set) var unescaped: [UInt8] = []
    /// Why the value cannot be validated.
    private(set) var refusal: String?

    init(_ value: JSONValue) {
        nodes.reserveCapacity(32)
        text.reserveCapacity(512)
        add(value, depth: 0)
        if text.count >= Int32.max || unescaped.count >= Int32.max { refusal = "longer than 2 GiB" }
    }

    private mutating func add(_ value: JSONValue, depth: Int) {
        switch value {
        case .null: addScalar(CJS_NULL, value)
        case .bool(let flag): addScalar(flag ? CJS_TRUE : CJS_FALSE, value)
        case .integer(let integer): addScalar(CJS_INTEGER, value, payload: UInt64(bitPattern: integer))
        case .number(let number):
            if let integer = value.int {
                addScalar(CJS_INTEGER, value, payload: UInt64(bitPattern: integer))
            } else {
                addScalar(CJS_NUMBER, value, payload: number.bitPattern)
            }
        case .string(let string): add(CJS_STRING, string)
        case .array(let elements):
            guard let index = open(CJS_ARRAY, count: elements.count, depth: depth) else { return }
            text.append(UInt8(ascii: "["))
            var isFirst = true
            for element in elements {
                if !isFirst { text.append(UInt8(ascii: ",")) }
                isFirst = false
                add(element, depth: depth + 1)
            }
            text.append(UInt8(ascii: "]"))
            close(index)
        case .object(let members):
            guard let index = open(CJS_OBJECT, count: members.count, depth: depth) else { return }
            text.append(UInt8(ascii: "{"))
            var isFirst = true
            for (key, value) in members {
                if !isFirst { text.append(UInt8(ascii: ",")) }
                isFirst = false
                add(CJS_KEY, key)
                text.append(UInt8(ascii: ":"))
                add(value, depth: depth + 1)
            }
            text.append(UInt8(ascii: "}"))
            close(index)
        }
    }

    private mutating func addScalar(_ kind: Int, _ value: JSONValue, payload: UInt64 = 0) {
        let start = text.count
        value.appendCanonical(to: &text)
        addNode(kind, from: start, payload: payload)
    }

    private mutating func add(_ kind: Int, _ string: String) {
        let start = text.count
        JSONValue.appendCanonical(string, to: &text)
        let count = string.utf8.count
        if text.count - start == count + 2 {
            addNode(kind, from: start, payload: UInt64(count) << 32 | UInt64(start + 1))
        } else {
            let offset = unescaped.count
            unescaped.append(contentsOf: string.utf8)
            addNode(kind, from: start, payload: 1 << 63 | UInt64(count) << 32 | UInt64(offset))
        }
    }

    private mutating func addNode(_ kind: Int, from start: Int, payload: UInt64) {
        nodes.append(
            cjs_node(
                kind: UInt32(kind),
                end: UInt32(truncatingIfNeeded: nodes.count + 1),
                text: UInt32(truncatingIfNeeded: start),
                text_end: UInt32(truncatingIfNeeded: text.count),
                payload: payload
            )
        )
    }

    private mutating func open(_ kind: Int, count: Int, depth: Int) -> Int? {
        guard depth < JSONParser.depthLimit else {
            refusal = "nested more than \(JSONParser.depthLimit) deep"
            return nil
        }
        addNode(kind, from: text.count, payload: UInt64(count))
        return nodes.count - 1
    }

    private mutating func close(_ index: Int) {
        nodes[index].end = UInt32(truncatingIfNeeded: nodes.count)
        nodes[index].text_end = UInt32(truncatingIfNeeded: text.count)
    }

    /// The way from the root to a node. A key counts as the member's value.
    func path(to target: Int, in value: JSONValue) -> [JSONPathStep] {
        var path: [JSONPathStep] = []
        var value = value
        var node = 0
        while node < target {
            var child = node + 1
            switch value {
            case .array(let elements):
                var index = 0
                while Int(nodes[child].end) <= target {
                    child = Int(nodes[child].end)
                    index += 1
                }
                path.append(.index(index))
                value = elements[index]
            case .object(let members):
                var index = 0
                while Int(nodes[child + 1].end) <= target {
                    child = Int(nodes[child + 1].end)
                    index += 1
                }
                path.append(.key(members[index].key))
                value = members[index].value
                child += 1
            default:
                return path
            }
            node = child
        }
        return path
    }
}
