import EnsignModel
import Testing

@Suite("Names of operations")
struct OperationNameTests {
    @Test(
        "An operation's name may be any name of a tool of MCP",
        arguments: [
            "git_status", "getPayment", "repo.read", "a", "_", "-", ".", "..", "A-Z_a-z.0-9", "1.0", "null", "true",
            "__x__",
            String(repeating: "a", count: 128),
        ]
    )
    func valid(_ name: String) { #expect(OperationName.isValid(name)) }

    @Test(
        "Anything else is none",
        arguments: [
            "", " ", "a b", "a/b", "*", "a:b", "a\n", "ä", "a\u{301}", "ａ", "a\0", String(repeating: "a", count: 129),
        ]
    )
    func invalid(_ name: String) { #expect(!OperationName.isValid(name)) }
}
