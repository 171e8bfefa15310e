import EnsignPolicy
import EnsignTestSupport
import Foundation
import Testing

/// Tests/Vectors/model-names.json is shared with the clients.
@Suite("Names by which models call operations")
struct ModelNameTests {
    private struct Vector: Decodable {
        var tool: String
        var operation: String
        var name: String
    }

    @Test("Names are those of the committed vectors")
    func vectors() throws {
        let vectors = try JSONDecoder().decode([Vector].self, from: Vectors.read("model-names.json"))
        #expect(vectors.count >= 40)
        for vector in vectors {
            #expect(ModelName.name(vector.tool, vector.operation) == vector.name)
            #expect(isAccepted(vector.name), "\(vector.name)")
        }
        #expect(Set(vectors.map(\.name)).count == vectors.count)
    }

    @Test("A name is one that model APIs accept, no other operation's, and stays apart when frameworks fold it")
    func collisions() {
        var generator = SeededGenerator(for: "model names", standard: 0x0A11)
        var named: [String: String] = [:]
        var folded: [String: String] = [:]
        for _ in 0..<20_000 {
            let tool = ["a", "b", "ab", String(repeating: "t", count: 63)].randomElement(using: &generator) ?? "a"
            let length = [1, 2, 3, 4, 12, 60, 128].randomElement(using: &generator) ?? 1
            let operation = String((0..<length).map { _ in Array("ab._0").randomElement(using: &generator) ?? "a" })
            let call = "\(tool).\(operation)"
            let name = ModelName.name(tool, operation)
            #expect(isAccepted(name), "\(name), seed \(generator.seed)")
            #expect(named.updateValue(call, forKey: name) ?? call == call, "seed \(generator.seed)")
            // One `_` for several, none at the end.
            let once = name.split(separator: "_").joined(separator: "_")
            #expect(folded.updateValue(call, forKey: once) ?? call == call, "\(once), seed \(generator.seed)")
        }
    }

    private func isAccepted(_ name: String) -> Bool {
        name.wholeMatch(of: /[A-Za-z0-9_-]{1,64}/) != nil
    }
}

/// The files that tests share with the clients.
enum Vectors {
    /// The package's folder.
    static var package: String {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url.path
    }

    static func read(_ file: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: "\(package)/Tests/Vectors/\(file)"))
    }
}
