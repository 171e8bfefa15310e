import EnsignModel

/// Which schemas refer to which: no reference may come back to the value at which it stands, and no path there may be too
/// deep.
///
/// References that come back inside a property or an item are fine: the value ends, and so does validation.
struct SchemaReferenceGraph {
    private struct Reference {
        /// From the root to `$ref`.
        let path: [String]
        let target: SchemaReference
    }

    private struct Edge {
        let from: Int
        let to: Int
        /// How many schemas enclose the reference, from the target that contains it on.
        let depth: Int
        let pointer: [String]
    }

    private var references: [Reference] = []
    private var numbers: [SchemaReference: Int] = [:]

    mutating func add(from path: [String], to target: SchemaReference) {
        references.append(Reference(path: path, target: target))
        if numbers[target] == nil { numbers[target] = numbers.count }
    }

    /// The edges between what references lead to, at one value. A reference counts for each target that contains it.
    private var edges: [Edge] {
        var edges: [Edge] = []
        for reference in references {
            guard let to = numbers[reference.target] else { continue }
            var depth = 1
            // From `$ref` outwards, as long as no keyword leads into the value.
            var end = reference.path.count - 1
            while true {
                if let from = numbers[SchemaReference(segments: Array(reference.path[..<end]))] {
                    edges.append(Edge(from: from, to: to, depth: depth, pointer: reference.path))
                }
                guard let keyword = Self.keyword(before: end, in: reference.path) else { break }
                if SchemaPositions.consumes(reference.path[keyword]) { break }
                // Definitions apply nowhere but where a reference leads to them.
                if SchemaReference.containers.contains(reference.path[keyword]) { break }
                end = keyword
                depth += 1
            }
        }
        return edges
    }

    /// The index of the keyword whose value holds the schema at `path[..<end]`; nil at the root.
    ///
    /// Read from the root on: names of properties look like keywords.
    private static func keyword(before end: Int, in path: [String]) -> Int? {
        var index = 0
        while index < end {
            guard let form = SchemaPositions.form(of: path[index]) else { return nil }
            let next: Int
            switch form {
            case .one: next = index + 1
            case .list, .members, .membersOrNames: next = index + 2
            // An index follows if it is a list.
            case .oneOrList: next = index + 1 < path.count && Int(path[index + 1]) != nil ? index + 2 : index + 1
            }
            if next >= end { return index }
            index = next
        }
        return nil
    }

    /// Returns the cycles and the references that lead too deep. Linear in the edges, without recursion (Kahn's
    /// algorithm).
    func problems() -> [SchemaProblem] {
        let edges = edges
        if edges.isEmpty { return [] }
        var leaving: [[Int]] = Array(repeating: [], count: numbers.count)
        var arriving = leaving
        for (index, edge) in edges.enumerated() {
            leaving[edge.from].append(index)
            arriving[edge.to].append(index)
        }

        var problems: [SchemaProblem] = []
        var depths = Array(repeating: 1, count: numbers.count)
        var remaining = leaving.map(\.count)
        var ready = remaining.indices.filter { remaining[$0] == 0 }
        while let definition = ready.popLast() {
            for index in arriving[definition] {
                let edge = edges[index]
                let depth = edge.depth + depths[definition]
                if depth > schemaDepthLimit {
                    problems.append(
                        SchemaProblem(
                            pointer: edge.pointer,
                            code: .tooDeep,
                            message: "leads more than \(schemaDepthLimit) schemas deep at one value"
                        )
                    )
                } else {
                    depths[edge.from] = max(depths[edge.from], depth)
                }
                remaining[edge.from] -= 1
                if remaining[edge.from] == 0 { ready.append(edge.from) }
            }
        }
        return problems + cycles(among: remaining.indices.filter { remaining[$0] > 0 }, edges, leaving)
    }

    /// Walks among targets that each refer to another of them, so every walk ends in a cycle.
    private func cycles(among unresolved: [Int], _ edges: [Edge], _ leaving: [[Int]]) -> [SchemaProblem] {
        let unresolvedSet = Set(unresolved)
        var names = Array(repeating: "", count: numbers.count)
        for (target, number) in numbers { names[number] = target.segments.last ?? "the root" }
        var problems: [SchemaProblem] = []
        /// The walk that visited each target.
        var visits: [Int: Int] = [:]
        for start in unresolved where visits[start] == nil {
            var walk: [Edge] = []
            var definition = start
            while visits[definition] == nil {
                visits[definition] = start
                guard let index = leaving[definition].first(where: { unresolvedSet.contains(edges[$0].to) }) else {
                    break
                }
                walk.append(edges[index])
                definition = edges[index].to
            }
            guard visits[definition] == start, let first = walk.firstIndex(where: { $0.from == definition }) else {
                continue
            }
            let cycle = walk[first...]
            let stations = cycle.map { names[$0.from].quotedExcerpt } + [names[definition].quotedExcerpt]
            let shown = stations.count > 8 ? stations.prefix(7) + ["…"] : stations[...]
            problems.append(
                SchemaProblem(
                    pointer: walk[first].pointer,
                    code: .referenceCycle,
                    message: "references come back to the same value without an end: "
                        + shown.joined(separator: " → ")
                )
            )
        }
        return problems
    }
}
