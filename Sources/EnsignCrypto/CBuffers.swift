/// The start of a buffer as C functions declare it: typed, and never null.
///
/// Both trap on an empty buffer, so they are for buffers whose length is fixed or was checked.
extension UnsafeRawBufferPointer {
    /// The address of the first byte.
    var start: UnsafePointer<UInt8> {
        guard let base = baseAddress else { preconditionFailure("an empty buffer has no first byte") }
        return unsafe base.assumingMemoryBound(to: UInt8.self)
    }
}

extension UnsafeMutableRawBufferPointer {
    /// The address of the first byte.
    var start: UnsafeMutablePointer<UInt8> {
        guard let base = baseAddress else { preconditionFailure("an empty buffer has no first byte") }
        return unsafe base.assumingMemoryBound(to: UInt8.self)
    }

    /// The address of the first byte, for text.
    var characters: UnsafeMutablePointer<CChar> {
        guard let base = baseAddress else { preconditionFailure("an empty buffer has no first byte") }
        return unsafe base.assumingMemoryBound(to: CChar.self)
    }
}
