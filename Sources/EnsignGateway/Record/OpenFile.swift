import EnsignSystem

/// An open file that several values may hold.
final class OpenFile: Sendable {
    let descriptor: FileDescriptor
    let inode: UInt64
    let device: UInt64

    init(_ descriptor: consuming FileDescriptor, _ path: String) throws(SystemError) {
        let status = try descriptor.status(path)
        (inode, device) = (status.inode, status.device)
        self.descriptor = descriptor
    }
}

extension FileStatus {
    /// Whether what is at the path is what was opened.
    func isFile(of opened: OpenFile) -> Bool { inode == opened.inode && device == opened.device }
}
