import EnsignModel

/// Which definitions refer to which: they must form no cycle, and no path may be too deep.
///
/// A cycle through `properties`, which draft 7 allows, is refused too: valijson overflows the stack on some, and an
/// agent's contract only needs a tree.
struct SchemaReferenceGraph {
    private struct Edge {
        let from: Int
        let to: Int
        /// How many schemas enclose the reference within its definition.
        let depth: Int
        let pointer: [String]
    }

    /// The root is 0, `nil` outside.
    private var numbers: [SchemaReference: Int] = [:]
    private var names = ["the root"]
    private var edges: [Edge] = []
    /// Of each definition, how many schemas are within one another, references not followed.
    private var depths = [0]

    private mutating func number(_ definition: SchemaReference?) -> Int {
        guard let definition else { return 0 }
        if let number = numbers[definition] { return number }
        numbers[definition] = names.count
        names.append(definition.name)
        depths.append(0)
        return names.count - 1
    }

    /// Notes that a definition has a schema at this depth, counted from 1.
    mutating func reach(_ depth: Int, in definition: SchemaReference?) {
        let number = number(definition)
        depths[number] = max(depths[number], depth)
    }

    mutating func add(from: SchemaReference?, to: SchemaReference, depth: Int, pointer: [String]) {
        edges.append(Edge(from: number(from), to: number(to), depth: depth, pointer: pointer))
    }

    /// Returns the cycles and the references that lead too deep. Linear, without recursion (Kahn's algorithm).
    func problems() -> [SchemaProblem] {
        if edges.isEmpty { return [] }
        var leaving: [[Int]] = Array(repeating: [], count: names.count)
        var arriving = leaving
        for (index, edge) in edges.enumerated() {
            leaving[edge.from].append(index)
            arriving[edge.to].append(index)
        }

        var problems: [SchemaProblem] = []
        var depths = depths
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
                            message: "leads more than \(schemaDepthLimit) schemas deep"
                        )
                    )
                } else {
                    depths[edge.from] = max(depths[edge.from], depth)
                }
                remaining[edge.from] -= 1
                if remaining[edge.from] == 0 { ready.append(edge.from) }
            }
        }
        return problems + cycles(among: remaining.indices.filter { remaining[$0] > 0 }, leaving: leaving)
    }

    /// Walks among definitions that each refer to another of them, so every walk ends in a cycle.
    private func cycles(among unresolved: [Int], leaving: [[Int]]) -> [SchemaProblem] {
        let unresolvedSet = Set(unresolved)
        var problems: [SchemaProblem] = []
        /// The walk that visited each definition.
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
            problems.append(
                SchemaProblem(
                    pointer: walk[first].pointer,
                    code: .referenceCycle,
                    message: "references must not form a cycle: "
                        + (stations.count > 8 ? stations.prefix(7) + ["…"] : stations).joined(separator: " → ")
                )
            )
        }
        return problems
    }
}
