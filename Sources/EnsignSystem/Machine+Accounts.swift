import CSystem
import Glibc

extension Machine {
    /// The number of an account, by its login name or by the number itself; nil where there is none of that name.
    package static func number(ofAccount name: String) -> UInt32? {
        if let number = UInt32(name) { return number }
        var entry = unsafe passwd()
        var result: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16_384)
        let status = unsafe getpwnam_r(name, &entry, &buffer, buffer.count, &result)
        guard status == 0, unsafe result != nil else { return nil }
        return unsafe entry.pw_uid
    }
}

extension Files {
    /// Whether this process may run a program.
    package static func isExecutable(_ path: String) -> Bool { unsafe access(path, X_OK) == 0 }
}

extension Machine {
    /// The account of the process that connected to a Unix socket (`SO_PEERCRED`); nil for anything else.
    package static func account(ofPeerOn socket: Int32) -> UInt32? {
        let number = csystem_peer_account(socket)
        return number < 0 ? nil : UInt32(number)
    }

    /// Does nothing for a moment.
    package static func pause(milliseconds: UInt32) { _ = usleep(milliseconds * 1_000) }
}
