/// Limits of a schema that hold for values of one type, where nothing keeps values of other types out.
///
/// `maximum: 100` alone does not apply to `"4000"`, and a server that reads texts as numbers runs 4000. Such a limit is
/// valid JSON Schema, but limits nothing.
package struct UntypedLimits: Sendable, Hashable {
    /// One of them.
    package struct Limit: Sendable, Hashable {
        /// JSON Pointer segments from the root of the schema to the keyword.
        package let pointer: [String]
        package let keyword: String
        /// What the keyword limits, for people: `numbers`.
        package let what: String
        /// The type that would make it hold, as `type` names it.
        package let type: String
        /// What to remove for a schema that accepts no less: the keyword, or one around it.
        fileprivate let removal: [String]
    }

    /// In the order of the schema.
    package private(set) var limits: [Limit] = []
    /// False when the schema's references lead to more schemas than were followed: there may be more limits.
    package private(set) var isComplete = true
    /// The outermost keywords that accept less when a definition accepts more.
    private var inversions: Set<[String]> = []
    /// Where references lead.
    private var targets: Set<SchemaReference> = []

    /// Finds them.
    ///
    /// Total: any value is accepted; the time is about linear in the size of both schemas.
    ///
    /// - Parameter other: A schema that the same value must satisfy: types that it fixes count as fixed.
    package init(in schema: JSONValue, beside other: JSONValue? = nil) {
        var walk = Walk(
            root: SchemaPlace.Root(schema, number: 0),
            budget: 8 * (schema.valueCount + (other?.valueCount ?? 0)) + 10_000
        )
        var spot = Spot()
        spot.place.add(schema, root: walk.root, &walk.budget)
        if let other { spot.place.add(other, root: SchemaPlace.Root(other, number: 1), &walk.budget) }
        walk.visit(schema, spot)
        limits = walk.found
        inversions = walk.inversions
        targets = walk.targets
        isComplete = walk.budget > 0
    }

    /// Finds them in a schema of a call's arguments, which are always an object: no server is given anything else.
    package init(ofArguments schema: JSONValue) {
        self.init(in: schema, beside: ["type": "object"])
    }

    /// A schema of a call's arguments without the limits that do not hold: what the schema really keeps out. Accepts
    /// everything that the schema does.
    package static func enforced(_ schema: JSONValue) -> JSONValue {
        let untyped = UntypedLimits(ofArguments: schema)
        guard untyped.isComplete else { return true }
        var removals = untyped.limits.map(\.removal)
        // What a reference leads to may also be referred to below what turns it round.
        if removals.contains(where: { removal in untyped.targets.contains { removal.starts(with: $0.segments) } }) {
            removals += untyped.inversions
        }
        return removals.reduce(schema) { $0.removing($1[...]) }
    }
}

extension UntypedLimits {
    /// What a keyword limits.
    private struct Kind {
        var what: String
        var type: String
        /// Any of these is enough; a null beside them lets nothing through.
        var types: [JSONTypes]
    }

    private static let kinds: [String: Kind] = {
        let number = Kind(what: "numbers", type: "number", types: [.number])
        let string = Kind(what: "texts", type: "string", types: [.string])
        let array = Kind(what: "lists", type: "array", types: [.array])
        let object = Kind(what: "objects", type: "object", types: [.object])
        // Formats such as `int32` and `date` are for both.
        let format = Kind(what: "texts", type: "string", types: [.string, .number])
        return [
            "maximum": number, "exclusiveMaximum": number, "minimum": number, "exclusiveMinimum": number,
            "multipleOf": number, "maxLength": string, "minLength": string, "pattern": string, "format": format,
            "items": array, "additionalItems": array, "maxItems": array, "minItems": array, "uniqueItems": array,
            "contains": array, "prefixItems": array, "maxProperties": object, "minProperties": object,
            "required": object,
            "properties": object, "patternProperties": object, "additionalProperties": object,
            "dependencies": object, "dependentRequired": object, "dependentSchemas": object, "propertyNames": object,
        ]
    }()

    /// Whether a keyword with this value limits nothing.
    private static func isInert(_ keyword: String, _ value: JSONValue) -> Bool {
        switch value {
        case .bool(let flag): flag != (keyword == "uniqueItems")
        case .object(let members): members.isEmpty
        case .array(let elements): elements.isEmpty
        case .integer(0): ["minLength", "minItems", "minProperties"].contains(keyword)
        default: false
        }
    }

    /// The place of a schema.
    private struct Spot {
        /// JSON Pointer segments from the root.
        var pointer: [String] = []
        /// All that values here must satisfy. The schema is part of it where ``isCertain``.
        var place = SchemaPlace()
        /// False below `not` and `if`: a schema that values must *not* satisfy, or that only decides which other one
        /// holds, fixes no type.
        var isCertain = true
        /// The outermost keyword around it that accepts less when a part of it accepts more; nil when there is none.
        var inversion: [String]?
        var depth = 0
        /// Definitions that are being examined, each with what held there: the same again has nothing new.
        var following: [[String]: [SchemaPlace]] = [:]
    }

    private struct Walk {
        let root: SchemaPlace.Root
        /// How many schemas are still examined.
        var budget: Int
        var found: [Limit] = []
        var inversions: Set<[String]> = []
        var targets: Set<SchemaReference> = []
        private var seen: Set<SchemaReference> = []

        init(root: SchemaPlace.Root, budget: Int) {
            self.root = root
            self.budget = budget
        }

        /// Examines a schema and those inside it.
        mutating func visit(_ schema: JSONValue, _ spot: Spot) {
            guard budget > 0, spot.depth < 128 else { return }
            budget -= 1
            guard let keywords = schema.object else { return }
            if let reference = keywords["$ref"] {
                if let target = root.target(of: reference) { follow(to: target, from: spot) }
                if !root.dialect.readsBesideReference { return }
            }
            for (keyword, value) in keywords {
                check(keyword, value, spot)
                for inner in schemas(in: keyword, value, spot) { visit(inner.schema, inner.spot) }
            }
        }

        private mutating func follow(to target: (pointer: [String], schema: JSONValue), from spot: Spot) {
            targets.insert(SchemaReference(segments: target.pointer))
            if let inversion = spot.inversion { inversions.insert(inversion) }
            guard spot.following[target.pointer]?.contains(spot.place) != true else { return }
            var inner = spot
            inner.pointer = target.pointer
            inner.depth += 1
            inner.following[target.pointer, default: []].append(spot.place)
            visit(target.schema, inner)
        }

        private mutating func check(_ keyword: String, _ value: JSONValue, _ spot: Spot) {
            let pointer = spot.pointer + [keyword]
            let types = spot.place.types.subtracting(.null)
            guard let kind = UntypedLimits.kinds[keyword], !UntypedLimits.isInert(keyword, value),
                !kind.types.contains(where: { types.isSubset(of: $0) }),
                seen.insert(SchemaReference(segments: pointer)).inserted
            else { return }
            found.append(
                Limit(
                    pointer: pointer,
                    keyword: keyword,
                    what: kind.what,
                    type: kind.type,
                    removal: spot.inversion ?? pointer
                )
            )
        }

        /// The schemas that are a keyword's value, each with its spot.
        private mutating func schemas(
            in keyword: String,
            _ value: JSONValue,
            _ spot: Spot
        ) -> [(schema: JSONValue, spot: Spot)] {
            var spot = spot
            spot.pointer.append(keyword)
            spot.depth += 1
            switch keyword {
            case "properties":
                return (value.object ?? [:]).map { name, schema in
                    var inner = spot
                    inner.pointer.append(name)
                    inner.place = spot.place.inside(.property(name), &budget)
                    return (schema, inner)
                }
            case "patternProperties", "additionalProperties":
                spot.place = spot.place.inside(.anyProperty, &budget)
                let isOne = keyword == "additionalProperties"
                return isOne ? [adding(value, spot)] : (value.object ?? [:]).map { adding($1, spot, $0) }
            case "propertyNames":
                spot.place = SchemaPlace()
                spot.place.add(["type": "string"], root: root, &budget)
                return [adding(value, spot)]
            case "items", "contains", "additionalItems", "prefixItems":
                spot.place = spot.place.inside(.item, &budget)
                return value.array.map { list(of: $0, spot) } ?? [adding(value, spot)]
            case "allOf":
                // The place already has all of them.
                return (value.array ?? []).enumerated().map { index, schema in
                    var inner = spot
                    inner.pointer.append(String(index))
                    return (schema, inner)
                }
            case "anyOf", "oneOf":
                spot.place = spot.place.without(value.array ?? [])
                // More than one may match then, which `oneOf` does not accept.
                if keyword == "oneOf" { spot.inversion = spot.inversion ?? spot.pointer }
                return list(of: value.array ?? [], spot)
            case "dependencies", "dependentSchemas":
                return (value.object ?? [:]).compactMap { name, schema in
                    schema.array == nil ? adding(schema, spot, name) : nil
                }
            case "then", "else": return [adding(value, spot)]
            case "if", "not":
                spot.isCertain = false
                spot.inversion = spot.inversion ?? spot.pointer
                return [(value, spot)]
            default: return []
            }
        }

        private mutating func list(of schemas: [JSONValue], _ spot: Spot) -> [(schema: JSONValue, spot: Spot)] {
            schemas.enumerated().map { adding($1, spot, String($0)) }
        }

        /// A schema that holds besides everything that holds at the spot.
        private mutating func adding(
            _ schema: JSONValue,
            _ spot: Spot,
            _ segment: String? = nil
        ) -> (schema: JSONValue, spot: Spot) {
            var inner = spot
            if let segment { inner.pointer.append(segment) }
            if spot.isCertain { inner.place.add(schema, root: root, &budget) }
            return (schema, inner)
        }
    }
}

extension JSONValue {
    /// How many values it consists of: no schema contains more schemas.
    fileprivate var valueCount: Int {
        switch self {
        case .array(let elements): elements.reduce(1) { $0 + $1.valueCount }
        case .object(let members): members.reduce(1) { $0 + $1.value.valueCount }
        default: 1
        }
    }

    /// The schema without the keyword that a pointer leads to, and without what depends on it.
    fileprivate func removing(_ pointer: ArraySlice<String>) -> JSONValue {
        guard let first = pointer.first else { return self }
        switch self {
        case .object(var members):
            if pointer.count == 1 {
                let hanging =
                    [
                        "if": ["then", "else"], "items": ["additionalItems"], "prefixItems": ["items"],
                        "contains": ["minContains", "maxContains"],
                    ][first] ?? []
                for key in [first] + hanging { members[key] = nil }
            } else if let inner = members[first] {
                members[first] = inner.removing(pointer.dropFirst())
            }
            return .object(members)
        case .array(var elements):
            guard let index = Int(first), elements.indices.contains(index) else { return self }
            elements[index] = elements[index].removing(pointer.dropFirst())
            return .array(elements)
        default: return self
        }
    }
}
