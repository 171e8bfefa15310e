import EnsignSystem

/// Remembers, across restarts, that the folder of spans was there: one that was never there has nothing in it, but one that is
/// gone takes along what was used.
struct UsageMark: Sendable {
    private let file: String
    private let folder: String

    /// - Parameters:
    ///   - state: The gateway's own folder.
    ///   - folder: The folder of spans. Another one than before was not seen yet.
    init(state: String, folder: String) {
        file = "\(state)/usage.seen"
        self.folder = folder
    }

    private var bytes: [UInt8] { Array("\(folder)\n".utf8) }

    /// Whether the folder was seen here; also where nobody can tell.
    var isSet: Bool {
        do throws(SystemError) { return try Files.readOwn(file, limit: 8_192) == bytes } catch { return true }
    }

    func set() throws {
        try Files.replace(file, with: bytes, mode: 0o600)
    }
}
