import Glibc

/// An address of IPv4 or IPv6 without a port, as its bytes: texts of the same one differ.
struct TCPAddress: Sendable, Hashable {
    private let bytes: [UInt8]

    /// - Parameter text: Without brackets; nil where it is no address.
    init?(_ text: String) {
        var bytes = [UInt8](repeating: 0, count: text.contains(":") ? 16 : 4)
        guard unsafe inet_pton(text.contains(":") ? AF_INET6 : AF_INET, text, &bytes) == 1 else { return nil }
        self.bytes = bytes
    }

    /// This end of a connection; nil where it is none of TCP.
    init?(ofThisEndOf socket: Int32) {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let bytes = unsafe withUnsafeMutableBytes(of: &storage) { bytes -> [UInt8]? in
            guard let base = bytes.baseAddress,
                unsafe getsockname(socket, base.assumingMemoryBound(to: sockaddr.self), &size) == 0
            else { return nil }
            // Both have family and port before it (RFC 3493, section 3.3); that of IPv6 a label of flows besides.
            switch Int32(unsafe bytes.load(as: sockaddr.self).sa_family) {
            case AF_INET: return unsafe Array(bytes[4..<8])
            case AF_INET6: return unsafe Array(bytes[8..<24])
            default: return nil
            }
        }
        guard let bytes else { return nil }
        self.bytes = bytes
    }
}
