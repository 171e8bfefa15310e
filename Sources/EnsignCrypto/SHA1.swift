import CNettle

/// SHA-1 (FIPS 180-4, section 6.1), where a format of git's wants it as a checksum. Nothing is trusted because of it.
package struct SHA1 {
    private var state = cnettle_sha1()

    package init() { unsafe cnettle_sha1_begin(&state) }

    /// Adds the next bytes.
    package mutating func add(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBufferPointer { unsafe cnettle_sha1_add(&state, $0.baseAddress, $0.count) }
    }

    /// The 20 bytes of the digest. Nothing may be added any more.
    package mutating func digest() -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: 20) { output, count in
            unsafe cnettle_sha1_end(&state, output.baseAddress)
            count = 20
        }
    }
}
