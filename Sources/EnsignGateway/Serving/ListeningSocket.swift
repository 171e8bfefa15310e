import EnsignCrypto
package import EnsignSystem
import Glibc

/// A socket of TCP that listens. Closed with the value, unless somebody takes it.
package struct ListeningSocket: ~Copyable, Sendable {
    let descriptor: FileDescriptor
    /// Without brackets.
    package let host: String
    /// The one that was given, or the one that the system chose.
    package let port: UInt16

    /// How many connections wait at most until they are taken.
    static let waiting: Int32 = 1_024

    /// Listens.
    package init(_ address: ListenAddress) throws(SystemError) {
        try self.init(host: address.host, port: address.port)
    }

    /// - Parameters:
    ///   - host: An address of IPv4 or IPv6.
    ///   - port: 0 lets the system choose.
    init(host: String, port: UInt16) throws(SystemError) {
        let operation = "listen on \(host), port \(port)"
        let isNew = host.contains(":")
        let opened = try FileDescriptor.socket(isNew ? AF_INET6 : AF_INET, operation)
        let number = opened.number
        try opened.set(SOL_SOCKET, SO_REUSEADDR, operation)
        if isNew {
            // An address of IPv6 means that one, not those of IPv4 as well.
            try opened.set(Int32(IPPROTO_IPV6), IPV6_V6ONLY, operation)
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            guard unsafe inet_pton(AF_INET6, host, &address.sin6_addr) == 1 else {
                throw SystemError(code: EINVAL, operation: operation)
            }
            try Self.check(operation, bind(number, &address, MemoryLayout<sockaddr_in6>.size))
        } else {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            guard unsafe inet_pton(AF_INET, host, &address.sin_addr) == 1 else {
                throw SystemError(code: EINVAL, operation: operation)
            }
            try Self.check(operation, bind(number, &address, MemoryLayout<sockaddr_in>.size))
        }
        try Self.check(operation, listen(number, Self.waiting))
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let found = unsafe withUnsafeMutableBytes(of: &storage) { bytes -> UInt16 in
            guard let base = bytes.baseAddress,
                unsafe getsockname(number, base.assumingMemoryBound(to: sockaddr.self), &size) == 0
            else { return port }
            // The port stands at the same place in both (RFC 3493, section 3.3).
            return unsafe UInt16(bigEndian: bytes.load(fromByteOffset: 2, as: UInt16.self))
        }
        descriptor = opened
        self.host = host
        self.port = found
    }

    private static func check(_ operation: String, _ status: Int32) throws(SystemError) {
        if status != 0 { throw SystemError(code: errno, operation: operation) }
    }

    /// The open socket, which is the caller's from here on.
    consuming func take() -> Int32 { fcntl(descriptor.number, F_DUPFD_CLOEXEC, 3) }
}

/// `bind` with an address of any family.
private func bind<Address>(_ number: Int32, _ address: inout Address, _ size: Int) -> Int32 {
    unsafe withUnsafeBytes(of: &address) { bytes in
        guard let base = bytes.baseAddress else { return -1 }
        return unsafe Glibc.bind(number, base.assumingMemoryBound(to: sockaddr.self), socklen_t(size))
    }
}

extension ConnectionPlaces.Holder {
    /// Whoever is at the other end of a connection of TCP: of this machine the account, of others the address. What belongs to
    /// one customer of a network by IPv6 counts as one address (RFC 6177).
    init(ofPeerOn socket: Int32) {
        if let account = Machine.account(ofTCPPeerOn: socket) {
            self = .account(account)
            return
        }
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let bytes = unsafe withUnsafeMutableBytes(of: &storage) { bytes -> [UInt8] in
            guard let base = bytes.baseAddress,
                unsafe getpeername(socket, base.assumingMemoryBound(to: sockaddr.self), &size) == 0
            else { return [] }
            // Both have family and port before it (RFC 3493, section 3.3); that of IPv6 a label of flows besides.
            let isNew = unsafe bytes.load(as: sockaddr.self).sa_family == sa_family_t(AF_INET6)
            return unsafe isNew ? Array(bytes[8..<16]) : Array(bytes[4..<8])
        }
        self = .address(Hex.encode(bytes))
    }
}

extension FileDescriptor {
    /// A socket of streams; closed in child processes.
    static func socket(_ family: Int32, _ operation: String) throws(SystemError) -> FileDescriptor {
        let number = Glibc.socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { throw SystemError(code: errno, operation: operation) }
        return FileDescriptor(owning: number)
    }

    /// Turns an option of a socket on.
    borrowing func set(_ level: Int32, _ option: Int32, _ operation: String) throws(SystemError) {
        var isOn: Int32 = 1
        guard unsafe setsockopt(number, level, option, &isOn, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
            throw SystemError(code: errno, operation: operation)
        }
    }
}
