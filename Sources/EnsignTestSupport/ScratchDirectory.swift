import Foundation

/// A directory of a test's own, removed when the last reference goes.
package final class ScratchDirectory: Sendable {
    /// Absolute, symbolic links resolved.
    package let path: String

    /// In memory where that has room, unless `TMPDIR` says otherwise: what is tested syncs all that it writes, and on a
    /// disk most of the time goes by waiting for that.
    private static let parent: URL = {
        let memory = URL(fileURLWithPath: "/dev/shm", isDirectory: true)
        let room = try? memory.resourceValues(forKeys: [.volumeAvailableCapacityKey]).volumeAvailableCapacity
        let isAsked = ProcessInfo.processInfo.environment["TMPDIR"] != nil
        let isUsable = !isAsked && room ?? 0 > 2 << 30 && FileManager.default.isWritableFile(atPath: memory.path)
        return isUsable ? memory : FileManager.default.temporaryDirectory
    }()

    package init() throws {
        let url = Self.parent.appendingPathComponent("ensign-test-\(UUID().uuidString)", isDirectory: true)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.resolvingSymlinksInPath().path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file, folders on the way included, and returns its path.
    @discardableResult
    package func write(_ name: String, _ text: String) throws -> String {
        try write(name, bytes: Array(text.utf8))
    }

    @discardableResult
    package func write(_ name: String, bytes: [UInt8]) throws -> String {
        let file = "\(path)/\(name)"
        let folder = (file as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        return file
    }

    package func read(_ name: String) throws -> String {
        try String(contentsOfFile: "\(path)/\(name)", encoding: .utf8)
    }

    package func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(name)") }
}
