import Foundation
import Synchronization

/// A test's own directory, removed when the last reference is released.
package final class ScratchDirectory: Sendable {
    /// Absolute, symbolic links resolved.
    package let path: String

    /// `ST_NOEXEC` of `sys/statvfs.h`, which Swift does not import.
    private static let noExecution: UInt = 8

    /// In memory if that has room, unless `TMPDIR` says otherwise: the tested code syncs everything that it writes, and
    /// on a disk most of the time is spent waiting for that.
    private static let parent: URL = {
        let memory = "/dev/shm"
        var status = statvfs()
        // Hooks run there, which containers often forbid.
        guard ProcessInfo.processInfo.environment["TMPDIR"] == nil, unsafe statvfs(memory, &status) == 0,
            status.f_flag & noExecution == 0, UInt64(status.f_bavail) * UInt64(status.f_frsize) > 2 << 30,
            FileManager.default.isWritableFile(atPath: memory)
        else { return FileManager.default.temporaryDirectory }
        return URL(fileURLWithPath: memory, isDirectory: true)
    }()

    package init() throws {
        let url = Self.parent.appendingPathComponent("ensign-test-\(UUID().uuidString)", isDirectory: true)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.resolvingSymlinksInPath().path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    private static let atExit = Mutex<[String]>([])

    /// For a directory that is referenced until the program ends: removes it then.
    package func removeAtExit() {
        Self.atExit.withLock { paths in
            if paths.isEmpty {
                atexit {
                    for path in ScratchDirectory.atExit.withLock({ $0 }) {
                        try? FileManager.default.removeItem(atPath: path)
                    }
                }
            }
            paths.append(path)
        }
    }

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
