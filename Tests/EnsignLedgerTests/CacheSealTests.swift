import EnsignCrypto
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignLedger

@Suite("What is in cache/ is believed only with its seal")
struct CacheSealTests {
    private let scratch: ScratchDirectory
    private let files: LedgerFiles
    private let one = RetiredBundles(covering: CoveredEntry(sequence: 1, commit: .zero))

    init() throws {
        scratch = try ScratchDirectory()
        files = LedgerFiles(commonDirectory: scratch.path)
    }

    @Test("The code is HMAC-SHA-256 of RFC 4231, cases 1 and 2")
    func vectors() {
        let first = CacheSeal.code(Array("Hi There".utf8), key: [UInt8](repeating: 0x0B, count: 20))
        #expect(Hex.encode(first) == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        let second = CacheSeal.code(Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8))
        #expect(Hex.encode(second) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    }

    @Test("What was written is read back; what was changed, moved, or written without the key is not there")
    func sealed() throws {
        let file = StateFile<RetiredBundles>(files, "prod")
        try file.write(one)
        #expect(try file.read()?.covered == one.covered)
        let bytes = try #require(try Files.read(file.path, limit: 1 << 20))
        let other = StateFile<RetiredBundles>(files, "staging")
        try Files.makeDirectories(try #require(Files.parent(of: other.path)))
        try Files.replace(other.path, with: bytes)
        #expect(try other.read() == nil)
        var changed = bytes
        changed[8] ^= 1
        try Files.replace(file.path, with: changed)
        #expect(try file.read() == nil)
        try Files.replace(file.path, with: one.contents.bytes(version: 1))
        #expect(try file.read() == nil)
        let status = try #require(try Files.status(files.cacheKey))
        #expect(status.permissions == 0o600)
    }
}
