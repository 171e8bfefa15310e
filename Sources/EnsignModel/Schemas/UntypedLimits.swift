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

    /// In the order of the schema. Where not everything was examined, every limit that was not is one of them.
    package private(set) var limits: [Limit] = []
    /// False when the schema's references lead to more schemas than were followed.
    package private(set) var isComplete = true
    /// The outermost keywords that accept less when a definition accepts more.
    private var inversions: Set<[String]> = []
    /// Where references lead.
    private var targets: Set<SchemaReference> = []
    /// Whether the schema is too deep to name all that was not examined.
    private var isUnknown = false

    /// Finds them.
    ///
    /// Total: any value is accepted; the time is about linear in the size of both schemas.
    ///
    /// - Parameter other: A schema that the same value must satisfy: types that it fixes count as fixed.
    package init(in schema: JSONValue, beside other: JSONValue? = nil) {
        let root = SchemaPlace.Root(schema, number: 0)
        var walk = Walk(root: root, budget: 4 * (schema.valueCount + (other?.valueCount ?? 0)) + 10_000)
        var spot = Spot()
        walk.extend(&spot.place, with: schema, root: root)
        if let other { walk.extend(&spot.place, with: other, root: SchemaPlace.Root(other, number: 1)) }
        walk.examine(schema, spot)
        limits = walk.found
        inversions = walk.inversions
        targets = walk.targets
        isComplete = walk.isWhole
        if !isComplete { addUnexamined(in: schema, walk) }
    }

    /// Adds the limits that were not examined wherever they apply: those in what references lead to are among them.
    private mutating func addUnexamined(in schema: JSONValue, _ walk: Walk) {
        // Where nothing fixes a type each schema says all at its first visit.
        var blind = Walk(root: walk.root, budget: .max)
        blind.examine(schema, Spot(isCertain: false))
        inversions = blind.inversions
        targets = blind.targets
        isUnknown = !blind.isWhole
        limits += blind.found.filter { limit in
            let keyword = SchemaReference(segments: limit.pointer)
            guard !walk.seen.contains(keyword) else { return false }
            return !walk.holding.contains(keyword) || targets.contains { limit.pointer.starts(with: $0.segments) }
        }
    }

    /// Finds them in a schema of a call's arguments, which are always an object: no server is given anything else.
    package init(ofArguments schema: JSONValue) {
        self.init(in: schema, beside: ["type": "object"])
    }

    /// A schema of a call's arguments without the limits that do not hold: what the schema really keeps out. Accepts
    /// everything that the schema does.
    package static func enforced(_ schema: JSONValue) -> JSONValue {
        let untyped = UntypedLimits(ofArguments: schema)
        guard !untyped.isUnknown else { return true }
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
    }

    /// A definition where it is used: the same again has nothing new. What turns it round is not part of it
    /// (``inversions`` has that).
    private struct Use: Hashable {
        let definition: SchemaReference
        let place: SchemaPlace
        let isCertain: Bool
    }

    private struct Walk {
        let root: SchemaPlace.Root
        /// How many schemas are still examined.
        private var budget: Int
        private(set) var isWhole = true
        var found: [Limit] = []
        /// The limits that hold at some place.
        private(set) var holding: Set<SchemaReference> = []
        var inversions: Set<[String]> = []
        var targets: Set<SchemaReference> = []
        /// The limits that were found.
        private(set) var seen: Set<SchemaReference> = []
        private var uses: Set<Use> = []
        /// What references lead to, examined after all that is around them: they can multiply.
        private var waiting: [(schema: JSONValue, spot: Spot)] = []

        init(root: SchemaPlace.Root, budget: Int) {
            self.root = root
            self.budget = budget
        }

        /// Examines a schema, those inside it, and those that references lead to.
        mutating func examine(_ schema: JSONValue, _ spot: Spot) {
            visit(schema, spot)
            var next = 0
            while next < waiting.count {
                let (schema, spot) = waiting[next]
                next += 1
                visit(schema, spot)
            }
        }

        private mutating func visit(_ schema: JSONValue, _ spot: Spot) {
            guard budget > 0, spot.depth < 128 else {
                isWhole = false
                return
            }
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
            let definition = SchemaReference(segments: target.pointer)
            targets.insert(definition)
            if let inversion = spot.inversion { inversions.insert(inversion) }
            let use = Use(definition: definition, place: spot.place, isCertain: spot.isCertain)
            guard uses.insert(use).inserted else { return }
            var inner = spot
            inner.pointer = target.pointer
            inner.depth = 0
            waiting.append((target.schema, inner))
        }

        /// Works out a place with a part of the budget: one where references multiply leaves some for the others.
        private mutating func spend<Result>(_ work: (inout Int) -> Result) -> Result {
            var share = budget / 4
            budget -= share
            let result = work(&share)
            if share <= 0 { isWhole = false }
            budget += max(share, 0)
            return result
        }

        mutating func extend(_ place: inout SchemaPlace, with schema: JSONValue, root: SchemaPlace.Root) {
            spend { place.add(schema, root: root, &$0) }
        }

        private mutating func inside(_ place: SchemaPlace, _ step: SchemaPlace.Step) -> SchemaPlace {
            spend { place.inside(step, &$0) }
        }

        private mutating func check(_ keyword: String, _ value: JSONValue, _ spot: Spot) {
            let pointer = spot.pointer + [keyword]
            let types = spot.place.types.subtracting(.null)
            guard let kind = UntypedLimits.kinds[keyword], !UntypedLimits.isInert(keyword, value) else { return }
            let reference = SchemaReference(segments: pointer)
            if kind.types.contains(where: { types.isSubset(of: $0) }) {
                holding.insert(reference)
                return
            }
            guard seen.insert(reference).inserted else { return }
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
                    inner.place = inside(spot.place, .property(name))
                    return (schema, inner)
                }
            case "patternProperties", "additionalProperties":
                spot.place = inside(spot.place, .anyProperty)
                let isOne = keyword == "additionalProperties"
                return isOne ? [adding(value, spot)] : (value.object ?? [:]).map { adding($1, spot, $0) }
            case "propertyNames":
                spot.place = SchemaPlace()
                extend(&spot.place, with: ["type": "string"], root: root)
                return [adding(value, spot)]
            case "items", "contains", "additionalItems", "prefixItems":
                spot.place = inside(spot.place, .item)
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
            if spot.isCertain { extend(&inner.place, with: schema, root: root) }
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
