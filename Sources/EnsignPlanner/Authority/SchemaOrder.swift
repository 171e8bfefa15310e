package import EnsignModel

/// Whether one JSON Schema accepts no more than another.
///
/// Sound and not complete: true only where it follows from the keywords; everything else counts as wider. Both are compared
/// in one form (``SchemaTranslation``), whatever their dialects. Its keywords are a conjunction, so every keyword of the
/// old schema must be implied by the new one.
package struct SchemaOrder {
    /// Whether every value that `new` accepts is accepted by `old`.
    package static func isProvablyNarrower(_ new: JSONValue?, than old: JSONValue?) -> Bool {
        let (new, old) = (new ?? .bool(true), old ?? .bool(true))
        var order = SchemaOrder(new: SchemaTranslation.plain(new), old: SchemaTranslation.plain(old))
        return order.narrower(order.new, order.old, depth: 0)
    }

    private let new: JSONValue
    private let old: JSONValue
    /// Equal references mean the same only if their targets are the same.
    private let haveSameDefinitions: Bool

    private init(new: JSONValue, old: JSONValue) {
        self.new = new
        self.old = old
        haveSameDefinitions = new["$defs"] == old["$defs"]
    }

    /// How a schema of arguments changed.
    package enum Change: Sendable, Hashable {
        /// It may accept something that it did not before.
        case wider
        case narrower
        /// It accepts nothing more, but really keeps nothing more out: the new limits apply to values of one type, and
        /// others get past them. Where that cannot be told, a schema is narrower: less always holds at once.
        case unenforced
        /// It accepts the same.
        case none
    }

    /// Compares a schema with its predecessor. What only looks narrower never counts as narrower.
    package static func change(from old: JSONValue?, to new: JSONValue?) -> Change {
        guard isProvablyNarrower(new, than: old) else { return .wider }
        if isProvablyNarrower(old, than: new) { return .none }
        guard UntypedLimits(ofArguments: old ?? true).isComplete, UntypedLimits(ofArguments: new ?? true).isComplete
        else { return .narrower }
        let enforced = UntypedLimits.enforced(new ?? true)
        let isSame = isProvablyNarrower(old, than: enforced) || UntypedLimits.enforced(old ?? true) == enforced
        return isSame ? .unenforced : .narrower
    }

    /// How many pairs of schemas are still compared: nested alternatives can have too many.
    private var remaining = 5_000

    /// Two schemas of which one is a reference, while they are compared.
    private struct Pair: Hashable {
        let new: JSONValue
        let old: JSONValue
    }

    /// The pairs at hand, each with how many steps into the value led to it.
    private var following: [Pair: Int] = [:]
    private var steps = 0

    /// Whether a reference may be in it.
    static func refers(_ schema: JSONValue) -> Bool {
        switch schema {
        case .object(let members): members["$ref"] != nil || members.contains { refers($0.value) }
        case .array(let elements): elements.contains(where: refers)
        default: false
        }
    }

    /// Whether equal text of both schemas means the same.
    private func areSame(_ new: JSONValue?, _ old: JSONValue?) -> Bool {
        guard new == old else { return false }
        return haveSameDefinitions || !(old.map(Self.refers) ?? false)
    }

    private mutating func narrower(_ new: JSONValue, _ old: JSONValue, depth: Int) -> Bool {
        guard remaining > 0 else { return false }
        remaining -= 1
        if new == .bool(false) || old == .bool(true) || areSame(new, old) { return true }
        guard depth < 64 else { return false }
        if new["$ref"] != nil || old["$ref"] != nil { return narrowerFollowing(new, old, depth: depth) }
        guard case .object(let old) = old else { return false }
        if old.allSatisfy({ $0.key == "$defs" }) { return true }
        guard case .object(let new) = new else { return false }
        if case .array(let parts)? = new["allOf"],
            parts.contains(where: { narrower($0, .object(old), depth: depth + 1) })
        {
            return true
        }
        if case .array(let branches)? = new["anyOf"], !branches.isEmpty,
            branches.allSatisfy({ narrower($0, .object(old), depth: depth + 1) })
        {
            return true
        }
        // A value has one of the types: each may be another alternative's.
        if old["anyOf"] != nil, case .array(let types)? = new["type"], types.count > 1,
            types.allSatisfy({ type in
                var part = new
                part["type"] = type
                return narrower(.object(part), .object(old), depth: depth + 1)
            })
        {
            return true
        }
        return old.allSatisfy { key, value in key == "$defs" || implies(new, key, value, old, depth) }
    }

    /// Compares what references lead to.
    ///
    /// A pair that comes up again inside a property or an item holds if everything else does: by induction over the
    /// value, whose parts are smaller. One that comes up at the same value proves nothing.
    private mutating func narrowerFollowing(_ new: JSONValue, _ old: JSONValue, depth: Int) -> Bool {
        let pair = Pair(new: new, old: old)
        if let start = following[pair] { return start < steps }
        guard let newTarget = Self.target(of: new, in: self.new), let oldTarget = Self.target(of: old, in: self.old)
        else { return false }
        following[pair] = steps
        defer { following[pair] = nil }
        return narrower(newTarget, oldTarget, depth: depth + 1)
    }

    private static func target(of schema: JSONValue, in root: JSONValue) -> JSONValue? {
        guard let text = schema["$ref"] else { return schema }
        return text.string.flatMap { SchemaReference($0) }?.target(in: root)
    }

    /// Compares schemas for a part of the value.
    private mutating func narrowerInside(_ new: JSONValue, _ old: JSONValue, depth: Int) -> Bool {
        steps += 1
        defer { steps -= 1 }
        return narrower(new, old, depth: depth + 1)
    }

    /// Whether `new` rules out everything that the keyword `key: value` of `old` rules out.
    private mutating func implies(
        _ new: JSONObject,
        _ key: String,
        _ value: JSONValue,
        _ old: JSONObject,
        _ depth: Int
    ) -> Bool {
        switch key {
        case "type":
            return Self.types(new).map { allowed in allowed.isSubset(of: Self.widened(Self.typeSet(value))) } ?? false
        case "enum":
            guard let allowed = value.array else { return false }
            if let constant = new["const"] { return allowed.contains(constant) }
            return new["enum"]?.array.map { $0.allSatisfy(allowed.contains) } ?? false
        case "const": return new["const"] == value || new["enum"] == .array([value])
        case "maximum": return Self.bound(new, "maximum", "exclusiveMaximum", value) { $0 <= $1 }
        case "minimum": return Self.bound(new, "minimum", "exclusiveMinimum", value) { $0 >= $1 }
        case "exclusiveMaximum":
            return Self.compare(new["exclusiveMaximum"], value) { $0 <= $1 }
                || Self.compare(new["maximum"], value) { $0 < $1 }
        case "exclusiveMinimum":
            return Self.compare(new["exclusiveMinimum"], value) { $0 >= $1 }
                || Self.compare(new["minimum"], value) { $0 > $1 }
        case "maxLength", "maxItems", "maxProperties": return Self.compare(new[key], value) { $0 <= $1 }
        case "minLength", "minItems", "minProperties": return Self.compare(new[key], value) { $0 >= $1 }
        case "required":
            guard let wanted = value.array, let present = new["required"]?.array else {
                return value.array?.isEmpty ?? false
            }
            return wanted.allSatisfy(present.contains)
        case "items":
            if areSame(new["items"], value) { return true }
            // Behind a list, another keyword speaks of the rest.
            guard value.array == nil, let items = new["items"], items.array == nil else { return value == .bool(true) }
            return narrowerInside(items, value, depth: depth)
        case "properties", "additionalProperties": return propertiesNarrower(new, old, depth)
        case "allOf":
            return value.array?.allSatisfy { narrower(.object(new), $0, depth: depth + 1) } ?? false
        case "anyOf":
            return areSame(new["anyOf"], value)
                || value.array?.contains { narrower(.object(new), $0, depth: depth + 1) } ?? false
        default: return areSame(new[key], value) && coupledEqual(key, new, old)
        }
    }

    /// Keywords that depend on others beside them are equal only if those are equal too.
    private func coupledEqual(_ key: String, _ new: JSONObject, _ old: JSONObject) -> Bool {
        let partners: [String]
        switch key {
        case "if", "then", "else": partners = ["if", "then", "else"]
        case "patternProperties": partners = ["properties", "additionalProperties"]
        case "additionalItems": partners = ["items"]
        case "contains", "minContains", "maxContains": partners = ["contains", "minContains", "maxContains"]
        default: partners = []
        }
        return partners.allSatisfy { areSame(new[$0], old[$0]) }
    }

    /// `old` must accept every property that `new` accepts, whatever its name.
    private mutating func propertiesNarrower(_ new: JSONObject, _ old: JSONObject, _ depth: Int) -> Bool {
        let keywords = ["properties", "patternProperties", "additionalProperties"]
        if keywords.allSatisfy({ areSame(new[$0], old[$0]) }) { return true }
        guard new["patternProperties"] == nil, old["patternProperties"] == nil else { return false }
        let (newNamed, oldNamed) = (new["properties"]?.object ?? [:], old["properties"]?.object ?? [:])
        let newRest = new["additionalProperties"] ?? .bool(true)
        let oldRest = old["additionalProperties"] ?? .bool(true)
        for (name, schema) in oldNamed where !narrowerInside(newNamed[name] ?? newRest, schema, depth: depth) {
            return false
        }
        for (name, schema) in newNamed where oldNamed[name] == nil {
            if !narrowerInside(schema, oldRest, depth: depth) { return false }
        }
        return narrowerInside(newRest, oldRest, depth: depth)
    }

    private static func bound(
        _ new: JSONObject,
        _ inclusive: String,
        _ exclusive: String,
        _ limit: JSONValue,
        _ isTighter: (Double, Double) -> Bool
    ) -> Bool {
        compare(new[inclusive], limit, isTighter) || compare(new[exclusive], limit, isTighter)
    }

    private static func compare(_ value: JSONValue?, _ limit: JSONValue, _ holds: (Double, Double) -> Bool) -> Bool {
        guard let value = value?.double, let limit = limit.double else { return false }
        return holds(value, limit)
    }

    private static func types(_ schema: JSONObject) -> Set<String>? {
        if let type = schema["type"] { return typeSet(type) }
        guard let values = schema["const"].map({ [$0] }) ?? schema["enum"]?.array else { return nil }
        return Set(values.map(typeName))
    }

    private static func typeSet(_ value: JSONValue) -> Set<String> {
        switch value {
        case .string(let name): [name]
        case .array(let names): Set(names.compactMap(\.string))
        default: []
        }
    }

    private static func widened(_ types: Set<String>) -> Set<String> {
        types.contains("number") ? types.union(["integer"]) : types
    }

    private static func typeName(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool: "boolean"
        case .integer: "integer"
        case .number: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}
