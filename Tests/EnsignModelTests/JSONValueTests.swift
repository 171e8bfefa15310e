import EnsignModel
import Testing

@Suite("JSONValue")
struct JSONValueTests {
    private func text(_ value: JSONValue) -> String {
        String(decoding: value.canonicalBytes(), as: UTF8.self)
    }

    // RFC 8785, appendix B, without its two non-finite rows.
    @Test(
        "Numbers are written as in RFC 8785, appendix B",
        arguments: [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] as [(UInt64, String)]
    )
    func numbers(bits: UInt64, expected: String) {
        #expect(text(.number(Double(bitPattern: bits))) == expected)
        #expect(text(JSONValue(Double(bitPattern: bits))) == expected)
    }

    @Test(
        "Doubles around the notation's limits",
        arguments: [
            (1e-7, "1e-7"), (1.5e-7, "1.5e-7"), (1e-6, "0.000001"), (0.1, "0.1"), (-0.5, "-0.5"), (123.456, "123.456"),
            (1e20, "100000000000000000000"), (1e21, "1e+21"), (-1.25e30, "-1.25e+30"), (1e16, "10000000000000000"),
            (1.152921504606847e18, "1152921504606847000"), (4.5, "4.5"), (2e-3, "0.002"), (1e-27, "1e-27"),
        ] as [(Double, String)]
    )
    func notation(number: Double, expected: String) {
        #expect(text(.number(number)) == expected)
    }

    @Test("Integers keep all their digits", arguments: [0, 9, 10, -1, 9_007_199_254_740_993, Int64.max, Int64.min])
    func integers(value: Int64) {
        #expect(text(.integer(value)) == String(value))
    }

    @Test("RFC 8785, section 3.2.2: the example")
    func example() {
        let value: JSONValue = [
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u{20ac}$\u{000F}\u{000a}A'\u{0042}\u{0022}\u{005c}\\\"/",
            "literals": [.null, true, false],
        ]
        #expect(
            text(value) == #"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#
                + #""string":"€$\u000f\nA'B\"\\\\\"/"}"#
        )
    }

    @Test("RFC 8785, section 3.2.3: keys sort by UTF-16 code units")
    func sorting() {
        let value: JSONValue = [
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh", "1": "One",
            "\u{1F600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis",
        ]
        #expect(
            value.object?.compactMap(\.value.string) == [
                "Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign",
                "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh",
            ]
        )
    }

    @Test("Control characters have their short or their \\u00xx form, and nothing else is escaped")
    func escapes() {
        let all =
            String(String.UnicodeScalarView((0x00...0x22).compactMap { Unicode.Scalar($0) })) + "\\/\u{7f}\u{2028}é😀"
        let expected =
            #""\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f"#
            + #"\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f"#
            + " !\\\"\\\\/\u{7f}\u{2028}é😀\""
        #expect(Array(text(.string(all)).utf8) == Array(expected.utf8))
    }

    @Test("Canonically equivalent strings are different strings and different keys")
    func unicodeEquivalence() {
        let composed = "\u{e9}"
        let decomposed = "e\u{301}"
        #expect(JSONValue.string(composed) != .string(decomposed))
        let both: JSONObject = [composed: 1, decomposed: 2]
        #expect(both.count == 2)
        #expect(both[composed] == 1 && both[decomposed] == 2)
    }

    @Test(
        "Values are equal when their canonical bytes are",
        arguments: [
            .integer(0), .number(0), .number(-0.0), .integer(3), .number(3), .number(3.5), .integer(1 << 53),
            .number(0x1p53), .number(0x1p54), .integer(1 << 54), .integer(1 << 60), .number(0x1p60),
            .integer(1_152_921_504_606_847_000), .number(1e18), .integer(1_000_000_000_000_000_000), .number(1e19),
            .number(-0x1p63), .integer(.min), .integer(.max), .number(1e300), .null, true, false, "", "3", [], [3],
            [.number(3)], [:], ["a": 1], ["a": .number(1)], ["a": 2], ["b": 1], ["a": 1, "b": 1],
        ] as [JSONValue]
    )
    func equality(value: JSONValue) {
        let others: [JSONValue] = [
            .integer(0), .number(0), .number(-0.0), .integer(3), .number(3), .number(3.5), .integer(1 << 53),
            .number(0x1p53), .number(0x1p54), .integer(1 << 54), .integer(1 << 60), .number(0x1p60),
            .integer(1_152_921_504_606_847_000), .number(1e18), .integer(1_000_000_000_000_000_000), .number(1e19),
            .number(-0x1p63), .integer(.min), .integer(.max), .number(1e300), .null, true, false, "", "3", [], [3],
            [.number(3)], [:], ["a": 1], ["a": .number(1)], ["a": 2], ["b": 1], ["a": 1, "b": 1],
        ]
        for other in others {
            #expect((value == other) == (value.canonicalBytes() == other.canonicalBytes()), "\(value) and \(other)")
            if value == other { #expect(value.hashValue == other.hashValue, "\(value) and \(other)") }
        }
    }

    @Test("Whole doubles within 2^53 become integers")
    func normalisation() {
        func isInteger(_ value: JSONValue) -> Bool { if case .integer = value { true } else { false } }
        #expect(isInteger(JSONValue(3.0)) && isInteger(JSONValue(-0.0)) && isInteger(JSONValue(0x1p53)))
        #expect(!isInteger(JSONValue(3.5)) && !isInteger(JSONValue(0x1p54)) && !isInteger(JSONValue(.nan)))
        #expect(isInteger(2.0))
    }

    @Test("Accessors give the value of their own kind only")
    func accessors() {
        let value: JSONValue = ["a": 1, "b": [true, "x"], "c": 2.5, "d": .null]
        #expect(value["a"]?.int == 1 && value["a"]?.double == 1 && value["a"]?.string == nil)
        #expect(value["b"]?[0]?.bool == true && value["b"]?[1]?.string == "x" && value["b"]?[2] == nil)
        #expect(value["b"]?[-1] == nil && value["b"]?["a"] == nil && value[0] == nil)
        #expect(value["c"]?.int == nil && value["c"]?.double == 2.5 && value["c"]?.array == nil)
        #expect(value["d"]?.isNull == true && value["e"] == nil && value.object?.count == 4)
        #expect(JSONValue.number(7).int == 7)
    }

    @Test("Members are replaced, inserted in order and removed by key")
    func members() {
        var object: JSONObject = ["b": 1, "a": 2]
        object["c"] = 3
        object["aa"] = 4
        object["b"] = 5
        object["a"] = nil
        object["missing"] = nil
        #expect(object.map(\.key) == ["aa", "b", "c"])
        #expect(object["b"] == 5 && object["a"] == nil)
        #expect(JSONObject([("x", 1), ("a", 2), ("x", 3)]) == ["a": 2, "x": 3])
    }

    @Test("The index of the first repeated key is given back")
    func repeatedKeys() {
        #expect(throws: Never.self) { try JSONObject.unique([("b", 1), ("a", 2), ("c", 3)]).get() }
        let failure = JSONObject.unique([("b", 1), ("z", 1), ("a", 2), ("z", 3), ("b", 4), ("z", 5)])
        guard case .failure(let duplicate) = failure else {
            Issue.record("no duplicate found")
            return
        }
        #expect(duplicate.index == 3)
    }

    @Test("A literal that names a key twice traps")
    func literalDuplicates() async {
        await #expect(processExitsWith: .failure) {
            let _: JSONValue = ["a": 1, "a": 2]
        }
    }

    @Test("Pretty text is sorted and indented by two spaces")
    func pretty() {
        let value: JSONValue = ["b": [1, [], ["x": .null]], "a": [:], "c": "t\n"]
        let expected = """
            {
              "a": {},
              "b": [
                1,
                [],
                {
                  "x": null
                }
              ],
              "c": "t\\n"
            }
            """
        #expect(String(decoding: value.prettyBytes(), as: UTF8.self) == expected)
    }
}
