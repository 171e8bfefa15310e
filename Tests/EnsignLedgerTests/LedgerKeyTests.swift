import EnsignCrypto
import EnsignLedger
import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

@Suite("The key of an environment")
struct LedgerKeyTests {
    private let scratch: ScratchDirectory
    private var path: String { "\(scratch.path)/keys/prod" }

    init() throws { scratch = try ScratchDirectory() }

    @Test("It is made once, for its owner alone, with a public half beside it")
    func create() throws {
        #expect(try LedgerKey.load("prod", path: path) == nil)
        let key = try LedgerKey.create("prod", path: path)
        #expect(try LedgerKey.create("prod", path: path).publicKey == key.publicKey)
        #expect(try LedgerKey.load("prod", path: path)?.publicKey == key.publicKey)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        #expect(try scratch.read("keys/prod.pub") == "\(key.publicKey.line) ensign-prod\n")
    }

    @Test("An empty file, as a full disk left it, is not a key: one is made in its place")
    func empty() throws {
        try scratch.write("keys/prod", "")
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        #expect(throws: (any Error).self) { try LedgerKey.load("prod", path: path) }
        let key = try LedgerKey.create("prod", path: path)
        #expect(try LedgerKey.load("prod", path: path)?.publicKey == key.publicKey)
        // Killed before the public half was written: the next one who needs the key writes it.
        try FileManager.default.removeItem(atPath: path + ".pub")
        #expect(try LedgerKey.create("prod", path: path).publicKey == key.publicKey)
        #expect(try scratch.read("keys/prod.pub") == "\(key.publicKey.line) ensign-prod\n")
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/keys").sorted() == [
                "prod", "prod.pub",
            ]
        )
    }

    @Test("A key that others may read is not used", arguments: [0o640, 0o604, 0o660, 0o610])
    func permissions(_ mode: Int) throws {
        _ = try LedgerKey.create("prod", path: path)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        #expect {
            try LedgerKey.load("prod", path: path)
        } throws: { error in
            guard case LedgerError.key(_, path, let why) = error else { return false }
            return why.contains("others may read it")
        }
    }

    @Test(
        "What is not a key is not used, and stays as it is",
        arguments: ["x", "ssh-ed25519 AAAA", Hostile.letter]
    )
    func garbage(_ text: String) throws {
        try scratch.write("keys/prod", text)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        #expect(throws: (any Error).self) { try LedgerKey.load("prod", path: path) }
        #expect(throws: (any Error).self) { try LedgerKey.create("prod", path: path) }
        #expect(try scratch.read("keys/prod") == text)
    }
}
