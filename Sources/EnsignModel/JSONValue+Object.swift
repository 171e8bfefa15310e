/// The members of a JSON object: unique keys, sorted by UTF-16 code units (RFC 8785, section 3.2.3).
///
/// Keys are equal when their code points are. Looking up takes O(log n), inserting O(n).
package struct JSONObject: Sendable {
    package typealias Element = (key: String, value: JSONValue)

    private var members: [Element]

    package init() { members = [] }

    /// Creates an object. The last of several members with the same key wins.
    package init(_ elements: some Sequence<(String, JSONValue)>) {
        self.init()
        for (key, value) in elements {
            self[key] = value
        }
    }

    /// Creates an object from members in any order, or returns the index of one whose key came before.
    package static func unique(_ members: [Element]) -> Result<JSONObject, DuplicateKey> {
        var object = JSONObject()
        object.members = members
        if object.isStrictlySorted { return .success(object) }

        let order = members.indices.sorted { left, right in
            let order = members[left].key.utf16Order(members[right].key)
            return order == 0 ? left < right : order < 0
        }
        object.members = order.map { members[$0] }
        if object.isStrictlySorted { return .success(object) }
        let repeats = order.indices.dropFirst().filter {
            members[order[$0 - 1]].key.hasSameUTF8(as: members[order[$0]].key)
        }
        return .failure(DuplicateKey(index: repeats.map { order[$0] }.min() ?? 0))
    }

    /// Where a key appears for the second time.
    package struct DuplicateKey: Error {
        /// Index into the members as they were given. The smallest, if there are several.
        package let index: Int
    }

    init(literal elements: [(String, JSONValue)]) {
        self.init()
        for (key, value) in elements {
            precondition(self[key] == nil, "the literal names the key '\(key)' twice")
            self[key] = value
        }
    }

    private var isStrictlySorted: Bool {
        for index in members.indices.dropFirst() where members[index - 1].key.utf16Order(members[index].key) >= 0 {
            return false
        }
        return true
    }

    /// The value of `key`. Setting `nil` removes the member.
    package subscript(key: String) -> JSONValue? {
        get {
            let (index, found) = position(of: key)
            return found ? members[index].value : nil
        }
        set {
            // Keys mostly arrive in order.
            if let newValue, members.last.map({ $0.key.utf16Order(key) < 0 }) ?? true {
                members.append((key, newValue))
                return
            }
            let (index, found) = position(of: key)
            switch (newValue, found) {
            case (let value?, true): members[index].value = value
            case (let value?, false): members.insert((key, value), at: index)
            case (nil, true): members.remove(at: index)
            case (nil, false): break
            }
        }
    }

    /// The index of `key`, or else where it would have to be inserted.
    private func position(of key: String) -> (index: Int, found: Bool) {
        var low = 0
        var high = members.count
        while low < high {
            let middle = (low + high) / 2
            let order = members[middle].key.utf16Order(key)
            if order == 0 { return (middle, true) }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return (low, false)
    }
}

extension JSONObject: RandomAccessCollection {
    package var startIndex: Int { 0 }
    package var endIndex: Int { members.count }
    package subscript(position: Int) -> Element { members[position] }

    // The array's own iterator is inlined everywhere; the default one would not be.
    package func makeIterator() -> IndexingIterator<[Element]> { members.makeIterator() }
}

extension JSONObject: Hashable {
    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.elementsEqual(right) { $0.key.hasSameUTF8(as: $1.key) && $0.value == $1.value }
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(count)
        for (key, value) in members {
            hasher.combine(key)
            hasher.combine(value)
        }
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    /// Creates an object. A repeated key is a programming error and traps.
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self.init(literal: elements)
    }
}

extension String {
    /// Less than 0, 0 or more than 0: this string's UTF-16 code units come before, equal or come after the other's.
    func utf16Order(_ other: String) -> Int {
        let order = unsafe utf8.withContiguousStorageIfAvailable { left in
            unsafe other.utf8.withContiguousStorageIfAvailable { right in unsafe utf16OrderOfUTF8(left, right) }
        }
        return (order ?? nil) ?? utf16OrderOfUTF8(utf8, other.utf8)
    }
}

/// Compares two valid UTF-8 texts as their UTF-16 code units would compare.
///
/// UTF-8 bytes sort by code point. UTF-16 differs in one thing: surrogates (0xD800...), which code points from U+10000 on
/// become, are less than U+E000...U+FFFF. In UTF-8 the former begin with 0xF0 or more, the latter with 0xEE or 0xEF.
private func utf16OrderOfUTF8(_ left: some Sequence<UInt8>, _ right: some Sequence<UInt8>) -> Int {
    var left = left.makeIterator()
    var right = right.makeIterator()
    while true {
        switch (left.next(), right.next()) {
        case (nil, nil):
            return 0
        case (nil, .some):
            return -1
        case (.some, nil):
            return 1
        case (let a?, let b?) where a != b:
            if (a >= 0xF0 && (b == 0xEE || b == 0xEF)) || (b >= 0xF0 && (a == 0xEE || a == 0xEF)) {
                return Int(b) - Int(a)
            }
            return Int(a) - Int(b)
        default:
            continue
        }
    }
}
