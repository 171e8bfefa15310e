import EnsignCrypto
import EnsignSystem
import Synchronization

/// The seal of what is in `cache/`: whoever may write there, but not read this clone's keys, cannot make Ensign believe
/// that a commit was looked at.
///
/// A line behind the contents: `seal ` and the SHA-256 of the key, the file's place and its bytes, keyed as HMAC (RFC
/// 2104). A file without it, or with another one, counts as missing, and is made again.
enum CacheSeal {
    /// The line that belongs behind these bytes.
    static func line(_ bytes: [UInt8], place: String, key: [UInt8]) -> [UInt8] {
        Array("seal \(Hex.encode(code(Array(place.utf8) + [0] + bytes, key: key)))\n".utf8)
    }

    private static let lineLength = "seal ".utf8.count + 2 * SHA256.byteCount + 1

    /// The bytes before a seal that is right; nil when it is not.
    static func opened(_ bytes: [UInt8], place: String, key: [UInt8]) -> [UInt8]? {
        guard bytes.count >= lineLength else { return nil }
        let contents = Array(bytes.dropLast(lineLength))
        return line(contents, place: place, key: key).elementsEqual(bytes.suffix(lineLength)) ? contents : nil
    }

    /// HMAC-SHA-256, RFC 2104; the key has 32 bytes.
    static func code(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        let padded = key + [UInt8](repeating: 0, count: 64 - key.count)
        let inner = SHA256.digest(of: padded.map { $0 ^ 0x36 } + message)
        return SHA256.digest(of: padded.map { $0 ^ 0x5C } + inner)
    }

    // MARK: The key

    private static let known = Mutex<[String: [UInt8]]>([:])

    /// This clone's key: 32 random bytes, for its owner alone.
    ///
    /// - Parameter makes: Whether to make it when there is none.
    /// - Returns: nil when there is none, and for an account that may not read it.
    static func key(at path: String, makes: Bool) -> [UInt8]? {
        if let key = known.withLock({ $0[path] }) { return key }
        var key = read(path)
        if key == nil, makes, (try? Files.status(path)) == nil {
            let new = (0..<SHA256.byteCount).map { _ in UInt8.random(in: .min ... .max) }
            if let folder = Files.parent(of: path) { try? Files.makeDirectories(folder, mode: 0o700) }
            _ = try? Files.create(path, with: new, mode: 0o600)
            // Another process may have been faster.
            key = read(path)
        }
        if let key { known.withLock { $0[path] = key } }
        return key
    }

    private static func read(_ path: String) -> [UInt8]? {
        guard let bytes = try? Files.read(path, limit: 64), bytes.count == SHA256.byteCount else { return nil }
        return bytes
    }
}
