/// A value on the heap, shared until somebody changes it: copies are cheap, and whoever holds it stays small.
///
/// For large values in what there are a hundred thousand of.
@propertyWrapper
package struct Boxed<Value: Sendable & Hashable>: Sendable, Hashable {
    private var storage: Storage<Value>

    package init(wrappedValue: Value) { storage = Storage(wrappedValue) }

    package var wrappedValue: Value {
        _read { yield storage.value }
        _modify {
            if !isKnownUniquelyReferenced(&storage) { storage = Storage(storage.value) }
            yield &storage.value
        }
    }

    package static func == (a: Boxed, b: Boxed) -> Bool { a.storage === b.storage || a.wrappedValue == b.wrappedValue }

    package func hash(into hasher: inout Hasher) { hasher.combine(wrappedValue) }
}

/// Like ``Boxed``, for what mostly is not there: nil takes no room on the heap.
@propertyWrapper
package struct BoxedOptional<Value: Sendable & Hashable>: Sendable, Hashable {
    private var storage: Storage<Value?>?

    package init(wrappedValue: Value?) { storage = wrappedValue.map { Storage($0) } }

    package var wrappedValue: Value? {
        _read { if let storage { yield storage.value } else { yield nil } }
        set { storage = newValue.map { Storage($0) } }
    }

    package static func == (a: BoxedOptional, b: BoxedOptional) -> Bool {
        a.storage === b.storage || a.wrappedValue == b.wrappedValue
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(wrappedValue) }
}

// Changed only while nobody else has it.
private final class Storage<Value: Sendable>: @unchecked Sendable {
    var value: Value
    init(_ value: Value) { self.value = value }
}
