import EnsignCrypto
import Testing

struct CodecTests {
    @Test(
        "Base64 gives the examples of RFC 4648, section 10, both ways",
        arguments: [
            ("", "", ""), ("f", "Zg==", "Zg"), ("fo", "Zm8=", "Zm8"), ("foo", "Zm9v", "Zm9v"),
            ("foob", "Zm9vYg==", "Zm9vYg"), ("fooba", "Zm9vYmE=", "Zm9vYmE"), ("foobar", "Zm9vYmFy", "Zm9vYmFy"),
        ]
    )
    func base64(text: String, padded: String, unpadded: String) {
        let bytes = Array(text.utf8)
        #expect(Base64.encode(bytes) == padded)
        #expect(Base64.encode(bytes, padding: .unpadded) == unpadded)
        #expect(Base64.decode(padded) == bytes)
        #expect(Base64.decode(unpadded, padding: .unpadded) == bytes)
        #expect(padded == unpadded || Base64.decode(unpadded) == nil)
        #expect(padded == unpadded || Base64.decode(padded, padding: .unpadded) == nil)
    }

    @Test(
        "Base64 that no encoder writes is refused",
        arguments: [
            "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zg==\n", " Zg==", "Zm 9v", "Zm9v=", "=", "====", "Zm9-", "Zm_v",
            "é", "Zg==Zg==",
        ]
    )
    func badBase64(text: String) {
        #expect(Base64.decode(text) == nil)
        #expect(Base64.decode(Array(text.utf8)) == nil)
    }

    @Test("Bytes of every length survive both codecs")
    func roundTrip() {
        for count in 0..<300 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ count) }
            #expect(Hex.decode(Hex.encode(bytes)) == bytes)
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
            #expect(Base64.decode(Base64.encode(bytes, padding: .unpadded), padding: .unpadded) == bytes)
        }
    }

    @Test("Hexadecimal is written in lowercase and read in either case")
    func hex() {
        #expect(Hex.encode([0x00, 0x0F, 0xAB, 0xFF]) == "000fabff")
        #expect(Hex.decode("000FabfF") == [0x00, 0x0F, 0xAB, 0xFF])
        #expect(Hex.decode("") == [])
    }

    @Test(
        "Hexadecimal of other characters or half a byte is refused",
        arguments: ["0", "000", "0g", "0x", " 00", "00 ", "é", "00:00"]
    )
    func badHex(text: String) {
        #expect(Hex.decode(text) == nil)
    }

    @Test("Each byte is a character of a codec or is refused, wherever it is", arguments: UInt8.min ... .max)
    func alphabets(byte: UInt8) {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        for position in 0..<8 {
            var text = Array("AAAAAAAA".utf8)
            text[position] = byte
            // The one other place for `=` is the last.
            let isBase64 = letters.contains(byte) || (byte == UInt8(ascii: "=") && position == 7)
            #expect((Base64.decode(text) != nil) == isBase64)
            #expect((Base64.decode(text, padding: .unpadded) != nil) == letters.contains(byte))
            #expect((Hex.decode(text) != nil) == Array("0123456789abcdefABCDEF".utf8).contains(byte))
        }
    }
}
