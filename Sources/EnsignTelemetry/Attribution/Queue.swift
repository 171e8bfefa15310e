/// First in, first out.
struct Queue<Element> {
    private var elements: [Element] = []
    private var head = 0

    init() {}

    var count: Int { elements.count - head }
    var first: Element? { head < elements.count ? elements[head] : nil }
    /// Oldest first.
    var all: ArraySlice<Element> { elements[head...] }

    mutating func append(_ element: Element) { elements.append(element) }

    /// Lets go of all others.
    mutating func keep(_ isKept: (Element) -> Bool) {
        elements = elements[head...].filter(isKept)
        head = 0
    }

    mutating func removeFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head]
        head += 1
        if head > 1_024, head * 2 > elements.count {
            elements.removeSubrange(..<head)
            head = 0
        }
        return element
    }
}

extension Queue: Sendable where Element: Sendable {}
