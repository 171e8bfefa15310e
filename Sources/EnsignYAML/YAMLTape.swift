/// A position in a YAML text: line and column count from 1, the column in Unicode scalars, as libyaml counts.
package struct YAMLMark: Sendable, Hashable {
    package var line: UInt32
    package var column: UInt32

    package init(line: UInt32, column: UInt32) {
        self.line = line
        self.column = column
    }
}

/// What a node of a YAML document is.
package enum YAMLKind: UInt8, Sendable {
    /// An unquoted scalar: its meaning depends on what is expected there.
    case plain
    /// A quoted or block scalar: always text.
    case quoted
    case mapping
    case sequence
    /// Something already reported (an alias, a complex key): nothing more is reported about it.
    case invalid
}

/// A document as one flat array of nodes in document order.
///
/// A node is its index. A container's children follow it directly; ``end(of:)`` is the index after its last descendant,
/// so skipping a subtree is one read. A mapping's children alternate key, value. Compared with a tree of objects this
/// costs two allocations a file, so a fleet of 10,000 agents can be checked in well under a second.
package struct YAMLTape: Sendable {
    struct Node: Sendable {
        var kind: YAMLKind
        var mark: YAMLMark
        /// Scalars: where the text starts in `text` and how long it is. Containers: `length` counts the children.
        var offset: UInt32
        var length: UInt32
        var end: UInt32

        var isScalar: Bool { kind == .plain || kind == .quoted }
    }

    var nodes: [Node] = []
    var text: [UInt8] = []

    /// False when a syntax error ended the document early: the content is good, but fields may be missing.
    package internal(set) var isComplete = true

    /// The document's root, nil when it holds nothing.
    package var root: Int? { nodes.isEmpty ? nil : 0 }

    package func kind(of node: Int) -> YAMLKind { nodes[node].kind }
    package func mark(of node: Int) -> YAMLMark { nodes[node].mark }
    package func end(of node: Int) -> Int { Int(nodes[node].end) }

    /// The number of children of a sequence, or of key-value pairs of a mapping.
    package func count(of node: Int) -> Int {
        switch nodes[node].kind {
        case .mapping: Int(nodes[node].length) / 2
        case .sequence: Int(nodes[node].length)
        case .plain, .quoted, .invalid: 0
        }
    }

    /// The text of a scalar; empty for anything else.
    package func string(of node: Int) -> String {
        String(decoding: bytes(of: node), as: UTF8.self)
    }

    /// The UTF-8 bytes of a scalar's text; empty for anything else.
    package func bytes(of node: Int) -> ArraySlice<UInt8> {
        let entry = nodes[node]
        guard entry.isScalar else { return [] }
        return text[Int(entry.offset)..<Int(entry.offset) + Int(entry.length)]
    }

    /// Whether these bytes are in a scalar's text.
    package func hasText(_ wanted: [UInt8]) -> Bool {
        guard let first = wanted.first, wanted.count <= text.count else { return false }
        return (0...(text.count - wanted.count)).contains { start in
            text[start] == first && text[start..<(start + wanted.count)].elementsEqual(wanted)
        }
    }

    /// Whether a scalar's text is exactly these bytes.
    package func matches(_ node: Int, _ wanted: [UInt8]) -> Bool {
        let entry = nodes[node]
        guard entry.isScalar, Int(entry.length) == wanted.count else { return false }
        let start = Int(entry.offset)
        for index in wanted.indices where text[start + index] != wanted[index] { return false }
        return true
    }

    /// The value of a mapping's key, nil if there is no such key.
    package func value(in mapping: Int, for key: [UInt8]) -> Int? {
        guard nodes[mapping].kind == .mapping else { return nil }
        var child = mapping + 1
        let end = Int(nodes[mapping].end)
        while child < end {
            let value = Int(nodes[child].end)
            if matches(child, key) { return value }
            child = Int(nodes[value].end)
        }
        return nil
    }

    /// Calls `body` with each child of a sequence, in order.
    package func forEachElement(of sequence: Int, _ body: (Int) -> Void) {
        guard nodes[sequence].kind == .sequence else { return }
        var child = sequence + 1
        let end = Int(nodes[sequence].end)
        while child < end {
            body(child)
            child = Int(nodes[child].end)
        }
    }

    /// Calls `body` with each key and value of a mapping, in order.
    package func forEachPair(of mapping: Int, _ body: (_ key: Int, _ value: Int) -> Void) {
        guard nodes[mapping].kind == .mapping else { return }
        var child = mapping + 1
        let end = Int(nodes[mapping].end)
        while child < end {
            let value = Int(nodes[child].end)
            body(child, value)
            child = Int(nodes[value].end)
        }
    }
}
