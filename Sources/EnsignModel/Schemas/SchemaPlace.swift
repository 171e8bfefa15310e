/// The schemas that the value at one place must satisfy, all of them: the schema there, and what the schemas around it
/// say about that place.
///
/// Sound: no value there can have a type that is left out. Not complete: `not`, `patternProperties`, `dependencies` and
/// what replaced them are taken to allow everything.
struct SchemaPlace: Hashable {
    /// The whole schema that one of them is part of: where its references lead, and how it is read.
    struct Root: Hashable {
        let schema: JSONValue
        let dialect: SchemaDialect
        /// Tells the few roots of one walk apart.
        let number: Int

        init(_ schema: JSONValue, number: Int) {
            self.schema = schema
            self.number = number
            dialect = SchemaReading(of: schema).dialect
        }

        func target(of reference: JSONValue) -> (pointer: [String], schema: JSONValue)? {
            guard let reference = reference.string.flatMap({ SchemaReference($0) }) else { return nil }
            return reference.target(in: schema).map { (reference.segments, $0) }
        }

        static func == (left: Root, right: Root) -> Bool { left.number == right.number }

        func hash(into hasher: inout Hasher) { hasher.combine(number) }
    }

    /// One of the schemas, with its references and alternatives followed.
    private enum Demand: Hashable {
        case keywords(JSONObject, root: Root)
        /// At least one of these places; `branches` are the schemas that they come from, if these are at this place.
        case either([SchemaPlace], branches: [JSONValue]?)
        case nothing
    }

    /// A way to the values inside a value.
    enum Step: Hashable {
        case property(String)
        /// A property of any name.
        case anyProperty
        case item
    }

    /// A schema that a reference led to.
    private struct Target: Hashable {
        let root: Int
        let reference: SchemaReference
    }

    /// The types that a value here may have; ``JSONTypes/all`` where nothing fixes one.
    private(set) var types = JSONTypes.all
    private var demands: [Demand] = []
    /// What references led to: the same again demands nothing more.
    private var followed: Set<Target> = []

    // Of equal places, most say so in their first words; whole schemas are not hashed.
    func hash(into hasher: inout Hasher) {
        hasher.combine(types.rawValue)
        hasher.combine(demands.count)
        for demand in demands.prefix(8) { hasher.combine(Self.types(of: demand).rawValue) }
    }

    static func == (left: SchemaPlace, right: SchemaPlace) -> Bool {
        left.types == right.types && left.demands == right.demands
    }

    /// Among more than this, looking for the same costs more than having it twice.
    private static let few = 32

    private mutating func append(_ demand: Demand) {
        if demands.count < Self.few, demands.contains(demand) { return }
        demands.append(demand)
        types.formIntersection(Self.types(of: demand))
    }

    private mutating func append(all other: SchemaPlace) {
        followed.formUnion(other.followed)
        for demand in other.demands { append(demand) }
    }

    /// The keywords that say something of a value's type, or of the values inside it.
    private static let telling: Set = [
        "type", "const", "enum", "properties", "patternProperties", "additionalProperties", "items", "prefixItems",
        "additionalItems",
    ]

    private static func types(of demand: Demand) -> JSONTypes {
        switch demand {
        case .nothing: return []
        case .either(let places, _): return places.reduce(into: []) { $0.formUnion($1.types) }
        case .keywords(let keywords, _):
            var types = keywords["type"].map { JSONTypes(keyword: $0) } ?? .all
            if let value = keywords["const"] { types.formIntersection(JSONTypes(of: value)) }
            if let values = keywords["enum"]?.array {
                types.formIntersection(values.reduce(into: []) { $0.formUnion(JSONTypes(of: $1)) })
            }
            return types
        }
    }

    // MARK: Building

    /// Adds a schema that the value must satisfy too.
    ///
    /// - Parameters:
    ///   - root: The schema whose definitions its references lead to.
    ///   - budget: How many schemas are still followed. Beyond it nothing more is demanded: references that fan out can
    ///     mean too many schemas to follow.
    mutating func add(_ schema: JSONValue, root: Root, _ budget: inout Int, depth: Int = 0) {
        guard budget > 0, depth < 128 else { return }
        budget -= 1
        switch schema {
        case .bool(false): append(.nothing)
        case .object(let keywords):
            if let reference = keywords["$ref"] {
                if let target = root.target(of: reference),
                    followed.insert(Target(root: root.number, reference: SchemaReference(segments: target.pointer)))
                        .inserted
                {
                    add(target.schema, root: root, &budget, depth: depth + 1)
                }
                // In draft 7 a reference ignores its neighbours.
                if !root.dialect.readsBesideReference { return }
            }
            let telling = JSONObject(keywords.filter { Self.telling.contains($0.key) })
            if !telling.isEmpty { append(.keywords(telling, root: root)) }
            for part in keywords["allOf"]?.array ?? [] { add(part, root: root, &budget, depth: depth + 1) }
            for key in ["anyOf", "oneOf"] {
                if let branches = keywords[key]?.array { add(either: branches, root, &budget, depth) }
            }
            if keywords["if"] != nil {
                add(either: [keywords["then"] ?? true, keywords["else"] ?? true], root, &budget, depth)
            }
        default: break
        }
    }

    private mutating func add(either branches: [JSONValue], _ root: Root, _ budget: inout Int, _ depth: Int) {
        let places = branches.map { branch in
            var place = SchemaPlace()
            place.add(branch, root: root, &budget, depth: depth + 1)
            return place
        }
        add(either: places, branches: branches)
    }

    private mutating func add(either places: [SchemaPlace], branches: [JSONValue]?) {
        // An alternative that demands nothing allows everything; one that no value fits is none.
        guard !places.contains(where: \.demands.isEmpty) else { return }
        var different: [SchemaPlace] = []
        for place in places where !place.types.isEmpty {
            if different.count < Self.few, different.contains(place) { continue }
            different.append(place)
        }
        switch different.count {
        case 0: append(.nothing)
        case 1: append(all: different[0])
        default: append(.either(different, branches: branches))
        }
    }

    /// The place without the demand that one of these schemas holds: to examine one of them, which implies it.
    func without(_ branches: [JSONValue]) -> SchemaPlace {
        var result = SchemaPlace()
        result.followed = followed
        for demand in demands {
            if case .either(_, let own?) = demand, own == branches { continue }
            result.append(demand)
        }
        return result
    }

    // MARK: Inside

    /// The demands on the values inside.
    func inside(_ step: Step, _ budget: inout Int) -> SchemaPlace {
        var result = SchemaPlace()
        // A value without such values inside demands nothing of them.
        guard !types.isDisjoint(with: step.container) else {
            result.append(.nothing)
            return result
        }
        for demand in demands where budget > 0 {
            budget -= 1
            switch demand {
            case .nothing: result.append(.nothing)
            case .either(let places, _):
                result.add(either: places.map { $0.inside(step, &budget) }, branches: nil)
            case .keywords(let keywords, let root):
                switch Self.schemas(of: keywords, at: step) {
                case .one(let schema): result.add(schema, root: root, &budget)
                case .either(let schemas): result.add(either: schemas, root, &budget, 0)
                case .unknown: break
                }
            }
        }
        return result
    }

    private enum Inner {
        case one(JSONValue)
        case either([JSONValue])
        case unknown
    }

    private static func schemas(of keywords: JSONObject, at step: Step) -> Inner {
        let named = keywords["properties"]?.object ?? [:]
        switch step {
        case .property(let name):
            if let schema = named[name] { return .one(schema) }
            // The patterns themselves are not matched.
            guard keywords["patternProperties"] == nil, let rest = keywords["additionalProperties"] else {
                return .unknown
            }
            return .one(rest)
        case .anyProperty:
            guard keywords["patternProperties"] == nil, let rest = keywords["additionalProperties"] else {
                return .unknown
            }
            return .either(named.map(\.value) + [rest])
        case .item:
            guard let items = keywords["items"] else { return .unknown }
            if let first = keywords["prefixItems"]?.array { return .either(first + [items]) }
            guard let list = items.array else { return .one(items) }
            guard let rest = keywords["additionalItems"] else { return .unknown }
            return .either(list + [rest])
        }
    }
}

extension SchemaPlace.Step {
    /// The type of a value that has such values inside.
    fileprivate var container: JSONTypes {
        switch self {
        case .property, .anyProperty: .object
        case .item: .array
        }
    }
}
