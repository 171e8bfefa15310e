import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Changing the version in a deployment's text")
struct VersionEditTests {
    private func edit(_ text: String, _ version: String = "1.5.0") throws -> String? {
        VersionEdit.replacing(Array(text.utf8), with: try #require(AgentVersion(version)))
            .map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("Nothing but the version changes: comments, order and style stay")
    func survives() throws {
        #expect(
            try edit("# é\nspec:\n  # version: 9\n  version:   1.4.0   # why\n  roles: [a]   \n")
                == "# é\nspec:\n  # version: 9\n  version:   1.5.0   # why\n  roles: [a]   \n"
        )
        #expect(
            try edit("spec: {roles: [é], version: \"1.4.0\", grants: []}")
                == "spec: {roles: [é], version: \"1.5.0\", grants: []}"
        )
        #expect(try edit("spec: {version: '1.4.0'}\r\n") == "spec: {version: '1.5.0'}\r\n")
        #expect(
            try edit("\u{FEFF}spec:\r\n  version: next\r\n", "2.0.0-rc.1")
                == "\u{FEFF}spec:\r\n  version: 2.0.0-rc.1\r\n"
        )
        #expect(try edit("spec:\n  version: 1.4.0", "next") == "spec:\n  version: next")
        #expect(
            try edit("metadata: {version: 1.4.0}\nspec: {version: 1.4.0}\n")
                == "metadata: {version: 1.4.0}\nspec: {version: 1.5.0}\n"
        )
    }

    @Test(
        "What is not written as one word is left alone",
        arguments: [
            "spec: {}", "x: 1", "", "spec: {version: [1.4.0]}", "spec:\n  version: |\n    1.4.0\n",
            "spec: {version: \"1.\\u0034.0\"}",
            "spec: {version: &a 1.4.0}", "spec: {version: 1.4.0, version: 1.4.0}", "spec: [",
            "spec:\n  version: >-\n    1.4.0\n",
            "spec:\n  version:\n", "a: 1\rspec: {version: 1.4.0}",
        ]
    )
    func refused(text: String) throws {
        #expect(try edit(text) == nil)
    }
}
