import CSodium

/// Memory for secrets: outside the heap between guard pages, not swapped or dumped where the system allows it, and
/// overwritten with zeros before it is given back (`sodium_malloc`).
///
/// `@unchecked Sendable` holds because writing needs exclusive access (`mutating`) and nothing else holds the pointer.
@safe struct SecretBytes: ~Copyable, @unchecked Sendable {
    private let base: UnsafeMutableRawPointer

    /// How many bytes there are.
    let count: Int

    /// Reserves `count` bytes, at least one. Their contents are not specified.
    init(count: Int) {
        precondition(count > 0, "a secret has at least one byte")
        Sodium.start()
        guard let base = unsafe sodium_malloc(count) else { fatalError("no memory for a secret of \(count) bytes") }
        unsafe self.base = unsafe base
        self.count = count
    }

    deinit { unsafe sodium_free(base) }

    /// Lends the bytes for reading.
    func withBytes<R: ~Copyable, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        let bytes = unsafe UnsafeRawBufferPointer(start: base, count: count)
        return try body(unsafe Span<UInt8>(_unsafeBytes: bytes))
    }

    /// Lends the bytes for writing.
    mutating func withMutableBytes<R: ~Copyable, E: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try unsafe body(UnsafeMutableRawBufferPointer(start: base, count: count))
    }
}
