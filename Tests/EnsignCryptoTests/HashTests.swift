import EnsignCrypto
import Testing

struct HashTests {
    @Test(
        "SHA-256 gives the digests of FIPS 180-4's examples",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ]
    )
    func sha256(text: String, digest: String) {
        let bytes = Array(text.utf8)
        #expect(SHA256.hex(of: bytes) == digest)
        #expect(SHA256.hex(of: bytes.span) == digest)
        #expect(Hex.encode(SHA256.digest(of: bytes)) == digest)
        let hashed = unsafe bytes.withUnsafeBytes { unsafe SHA256.hex(of: $0) }
        #expect(hashed == digest)
        let hashed2 = unsafe bytes.withUnsafeBytes { unsafe SHA256.digest(of: $0) }
        #expect(hashed2 == Hex.decode(digest))
    }

    @Test("SHA-256 of a million letters is that of FIPS 180-4")
    func million() {
        let digest = SHA256.hex(of: Array(repeating: UInt8(ascii: "a"), count: 1_000_000))
        #expect(digest == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test("SHA-512 gives the digest of FIPS 180-4's example, and that of nothing")
    func sha512() {
        let abc = Array("abc".utf8)
        let expected =
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        #expect(Hex.encode(SHA512.digest(of: abc)) == expected)
        #expect(Hex.encode(SHA512.digest(of: abc.span)) == expected)
        let hashed3 = unsafe abc.withUnsafeBytes { unsafe Hex.encode(SHA512.digest(of: $0)) }
        #expect(hashed3 == expected)
        #expect(Hex.encode(SHA512.digest(of: [])).hasPrefix("cf83e1357eefb8bdf1542850d66d8007"))
    }
}
