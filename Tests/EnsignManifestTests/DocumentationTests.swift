import EnsignJSON
import EnsignTestSupport
import Testing

@Suite("What docs/ says of findings")
struct DocumentationTests {
    @Test("Every code of a finding has its section in docs/diagnostics.md, and every section a code")
    func codes() throws {
        let docs = String(decoding: try #require(try packageFiles(below: "docs")["docs/diagnostics.md"]), as: UTF8.self)
        let sections = Set(
            docs.split(separator: "\n").filter { $0.hasPrefix("### ") }.map { String($0.dropFirst(4)) }
        )
        var codes = Set(SchemaProblem.Code.allCases.map(\.rawValue))
        var gateway: Set<String> = []
        var sources = ""
        for (path, bytes) in try packageFiles(below: "Sources") where path.hasSuffix(".swift") {
            let text = String(decoding: bytes, as: UTF8.self)
            sources += text
            if path.hasPrefix("Sources/EnsignGateway") {
                // The gateway's file: `document.add(.warning, "unused", ...)`.
                for match in text.matches(of: /(?:document|list)\.add\(\s*(?:\.\w+,\s*)?"([a-z]+(?:-[a-z]+)*)"/) {
                    gateway.insert(String(match.1))
                }
            }
            guard path.hasPrefix("Sources/EnsignManifest/") || path.hasPrefix("Sources/EnsignYAML/") else { continue }
            let literals = /(?:code: |(?:error|refuse|report|add)\(\s*(?:\w+,\s*)?|return )"([a-z]+(?:-[a-z]+)*)"[,\s}]/
            for match in text.matches(of: literals) {
                // Other calls take words too; a code is kebab-case or comes after its label.
                if match.1.contains("-") || match.0.hasPrefix("code") { codes.insert(String(match.1)) }
            }
        }
        #expect(codes.count > 50 && gateway.count > 10)
        codes.formUnion(gateway)
        #expect(codes.subtracting(sections).sorted() == [])
        #expect(sections.filter { !sources.contains("\"\($0)\"") }.sorted() == [])
    }
}
