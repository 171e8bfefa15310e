import EnsignJSON
import EnsignModel
import Testing

@Suite("JSONParser")
struct JSONParserTests {
    @Test(
        "Accepted texts",
        arguments: [
            ("null", .null), (" true\n", true), ("\t[ ]\r", []), ("{}", [:]), ("-0", 0), ("1.0", 1), ("1e2", 100),
            ("0.5", 0.5), ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
            ("9223372036854775808", .number(0x1p63)), ("18446744073709551615", .number(0x1p64)),
            ("123456789012345678901234567890", .number(1.2345678901234568e29)), ("1e-400", 0),
            (#""\u00e9\n\"\\\/\ud83d\ude00""#, "é\n\"\\/😀"),
            (#"{"b":[1,{"c":null}],"a":"x"}"#, ["a": "x", "b": [1, ["c": .null]]]),
            (#"{"":1,"\u0000":2}"#, ["": 1, "\u{0}": 2]),
        ] as [(String, JSONValue)]
    )
    func accepted(text: String, value: JSONValue) throws {
        #expect(try parse(text) == value)
    }

    @Test(
        "Refused texts, with line, column and code",
        arguments: [
            ("", "1:1", .syntax), ("  ", "1:3", .syntax), ("nul", "1:4", .syntax), ("tru e", "1:4", .syntax),
            ("{", "1:2", .syntax), ("[1,]", "1:4", .syntax), ("[1 2]", "1:4", .syntax), ("{\"a\" 1}", "1:6", .syntax),
            ("{a: 1}", "1:2", .syntax), ("{'a': 1}", "1:2", .syntax), ("[1]\n]", "2:1", .syntax),
            ("1 1", "1:3", .syntax),
            ("01", "1:2", .syntax), ("+1", "1:1", .syntax), (".5", "1:1", .syntax), ("1.", "1:3", .syntax),
            ("-", "1:2", .syntax), ("NaN", "1:1", .syntax), ("Infinity", "1:1", .syntax), ("0x10", "1:2", .syntax),
            ("// c\n1", "1:1", .syntax), ("/* c */ 1", "1:1", .syntax), ("\"a\nb\"", "1:3", .syntax),
            ("\"a\tb\"", "1:3", .syntax), ("\"a", "1:3", .syntax), ("\"\\x\"", "1:3", .syntax),
            ("\"\\ud800\"", "1:8", .syntax),
            ("\"\\ud800\\u0041\"", "1:13", .syntax), ("\u{feff}1", "1:1", .syntax), ("1\u{0}", "1:2", .syntax),
            ("{}\u{0}garbage", "1:3", .syntax), ("[\"é\",\n \"é\" x]", "2:6", .syntax),
            ("1e400", "1:6", .numberOutOfRange), ("[1,\n-1e999]", "2:7", .numberOutOfRange),
            (#"{"a":1,"b":2,"a":3}"#, "1:14", .duplicateKey), ("{\"é\": 1,\n \"\\u00e9\": 2}", "2:2", .duplicateKey),
            (#"{"x":{"a\"\\":1, "a\"\\" : 2}}"#, "1:18", .duplicateKey), (#"{"":1,"":2}"#, "1:7", .duplicateKey),
        ] as [(String, String, JSONError.Code)]
    )
    func refused(text: String, place: String, code: JSONError.Code) {
        let error = #expect(throws: JSONError.self) { try parse(text) }
        #expect(error?.code == code)
        #expect(error.map { "\($0.line):\($0.column)" } == place, "\(String(describing: error))")
        #expect(error?.message.isEmpty == false)
    }

    @Test(
        "Ill-formed UTF-8 is refused where it begins",
        arguments: [
            ([0x22, 0xFF, 0x22], 1), ([0x22, 0x61, 0xC3, 0x22], 3), ([0x22, 0xC0, 0x80, 0x22], 1),
            ([0x22, 0xED, 0xA0, 0x80, 0x22], 2), ([0x22, 0xF5, 0x80, 0x80, 0x80, 0x22], 1), ([0x22, 0xE2, 0x82], 3),
            ([0xFF, 0xFE, 0x31, 0x00], 3), ([0x31, 0x80], 1),
        ] as [([UInt8], Int)]
    )
    func illFormed(bytes: [UInt8], offset: Int) {
        let error = #expect(throws: JSONError.self) { try JSONParser.parse(bytes) }
        #expect(error?.code == .syntax)
        #expect(error?.offset == offset, "\(String(describing: error))")
    }

    @Test("Messages say what is wrong and repeat no input")
    func messages() {
        func message(_ text: String) -> String? {
            #expect(throws: JSONError.self) { try parse(text) }?.message
        }
        #expect(message("") == "unexpected end of input; expected '[', '{', or a literal")
        #expect(message("[1 2]") == "unexpected number literal; expected ']'")
        #expect(
            message("\"secret\u{1b}") == "invalid string: control character U+001B (ESC) must be escaped to \\u001B"
        )
        #expect(message("{}\u{0}") == "a NUL byte is not allowed")
        #expect(message(#"{"a\u001b":1,"a\u001b":2}"#) == #"the key 'a\u{1b}' is repeated"#)
    }

    @Test("Nesting beyond the limit is refused where it begins", arguments: [1, 2, 64, 512])
    func depth(limit: Int) throws {
        let allowed = String(repeating: "[", count: limit) + String(repeating: "]", count: limit)
        #expect(throws: Never.self) { try parse(allowed, maxDepth: limit) }
        let error = #expect(throws: JSONError.self) { try parse("[" + allowed + "]", maxDepth: limit) }
        #expect(error?.code == .tooDeep)
        #expect(error?.column == limit + 1)
        #expect(throws: JSONError.self) { try parse(String(repeating: #"{"a":"#, count: 200_000), maxDepth: limit) }
    }

    @Test("A depth limit that would allow deep recursion traps")
    func depthLimit() async {
        await #expect(processExitsWith: .failure) { _ = try parse("1", maxDepth: 513) }
    }

    @Test("Many members and long strings are read in little time")
    func large() throws {
        let members = (0..<50_000).reversed().map { "\"k\($0)\":\($0)" }.joined(separator: ",")
        let object = try parse("{\(members)}")
        #expect(object.object?.count == 50_000)
        #expect(object["k777"] == 777)
        let duplicate = #expect(throws: JSONError.self) { try parse("{\(members),\"k5\":0}") }
        #expect(duplicate?.code == .duplicateKey)
        let backslashes = String(repeating: #"\\"#, count: 200_000)
        #expect(try parse("\"\(backslashes)\"").string?.utf8.count == 200_000)
        let twice = #expect(throws: JSONError.self) { try parse("{\"\(backslashes)\":1,\"\(backslashes)\":2}") }
        #expect(twice?.offset == 400_002 + 4)
    }

    @Test("What canonicalBytes and prettyBytes write is read back the same", arguments: 0..<300 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let value = randomValue(depth: 4, using: &generator)
        #expect(try JSONParser.parse(value.canonicalBytes()) == value, "seed \(seed)")
        #expect(try JSONParser.parse(value.prettyBytes()) == value, "seed \(seed)")
        #expect(try JSONParser.parse(value.canonicalBytes()).canonicalBytes() == value.canonicalBytes(), "seed \(seed)")
    }

    @Test("Reading any bytes succeeds or reports a place within them", arguments: 0..<300 as Range<UInt64>)
    func anyBytes(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            var bytes = randomValue(depth: 3, using: &generator).prettyBytes()
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let at = Int.random(in: 0...bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes.insert(.random(in: 0...255, using: &generator), at: at)
                case 1 where at < bytes.count: bytes.remove(at: at)
                default: bytes.removeSubrange(at...)
                }
            }
            do throws(JSONError) {
                _ = try JSONParser.parse(bytes)
            } catch {
                #expect((0...bytes.count).contains(error.offset), "seed \(seed)")
                #expect(error.line >= 1 && error.column >= 1, "seed \(seed)")
            }
        }
    }

    @Test("An empty buffer without an address is refused")
    func noAddress() {
        #expect(throws: JSONError.self) { try unsafe JSONParser.parse(UnsafeRawBufferPointer(start: nil, count: 0)) }
    }
}
