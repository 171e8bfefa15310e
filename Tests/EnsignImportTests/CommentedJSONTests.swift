import EnsignImport
import Testing

@Suite("JSON with comments")
struct CommentedJSONTests {
    private func plain(_ text: String) -> String {
        String(decoding: CommentedJSON.plain(Array(text.utf8)), as: UTF8.self)
    }

    @Test("Comments and commas too many become blanks, and every place stays")
    func places() {
        #expect(plain("{ // a\n\"b\": [1, /* c */ 2,],\n}") == "{     \n\"b\": [1,         2 ] \n}")
        #expect(plain(#"{"a": "// no, /* text */"}"#) == #"{"a": "// no, /* text */"}"#)
    }

    @Test("A comment that does not end is none, and the ones on a line of their own still are")
    func open() {
        #expect(plain("{/* a\n// b\n}") == "{/* a\n    \n}")
    }

    @Test("However many comments begin and never end, they are looked at once", .timeLimit(.minutes(1)))
    func many() {
        let text = String(repeating: "/* ", count: 1_000_000)
        #expect(plain(text) == text)
    }
}
