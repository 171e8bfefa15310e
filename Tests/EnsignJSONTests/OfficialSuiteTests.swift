import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignJSON

/// Suites that others wrote, where `make prove` has put them (Tests/suites.py).
private let suites = "\(packageRoot)/.build/suites"

private func files(in folder: String) -> [String] {
    ((try? FileManager.default.subpathsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".json") }.sorted()
}

private func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(suites)/\(name)") }

@Suite("OfficialSuites: JSON and JSON Schema")
struct OfficialSuiteTests {
    /// Why schemas of the suite are refused, by code. Each refusal is a documented rule (docs/json-schema.md).
    private static let refusals: [SchemaProblem.Code: String] = [
        .refusedKeyword: "$id or $schema elsewhere than at the root",
        .invalidReference: "references to other documents, to anchors, or to what is not a schema",
        .referenceCycle: "references that come back without an end",
        .ignoredKeyword: "keywords that the dialect ignores",
        .unknownKeyword: "keywords that are not supported",
        .invalidPattern: "patterns that cannot be carried over",
        .invalidValue: "numbers beyond 2^53, labels of other dialects",
        .tooDeep: "nesting",
    ]

    @Test(
        "JSON-Schema-Test-Suite, each dialect with optional parts: nothing that is accepted is judged otherwise",
        .enabled(if: has("json-schemas")),
        arguments: [("draft7", 930, 50), ("draft2019-09", 1_010, 150), ("draft2020-12", 1_030, 160)]
    )
    func jsonSchema(draft: String, least: Int, most: Int) throws {
        let folder = "\(suites)/json-schemas/\(draft)"
        var (groups, tests, agreed) = (0, 0, 0)
        var refused: [String: (groups: Int, tests: Int)] = [:]
        // Formats and encodings are annotations here, as each dialect allows.
        for name in files(in: folder) where !name.contains("format/") && name != "optional/content.json" {
            let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")))
            guard let content = try? JSONParser.parse(bytes) else {
                refused["file with numbers beyond 2^53", default: (0, 0)].groups += 1
                #expect(name.hasSuffix("bignum.json") || name.hasSuffix("float-overflow.json"), "\(name)")
                continue
            }
            for group in content.array ?? [] {
                groups += 1
                let items = group["tests"]?.array ?? []
                tests += items.count
                let schema = try #require(group["schema"])
                let codes = Set(lintSchema(schema).filter { $0.severity == .error }.map(\.code))
                guard codes.isEmpty else {
                    let why = codes.map(\.rawValue).sorted().joined(separator: ", ")
                    refused[why, default: (0, 0)].groups += 1
                    refused[why, default: (0, 0)].tests += items.count
                    #expect(codes.allSatisfy { Self.refusals[$0] != nil }, "\(name): \(why)")
                    continue
                }
                let compiled = try JSONSchema(schema)
                for test in items {
                    let isValid = compiled.validate(try #require(test["data"])).isEmpty
                    #expect(
                        isValid == test["valid"]?.bool,
                        "\(name): \(group["description"]?.string ?? ""): \(test["description"]?.string ?? "")"
                    )
                    if isValid == test["valid"]?.bool { agreed += 1 }
                }
            }
        }
        print("JSON-Schema-Test-Suite, \(draft): \(groups) schemas, \(tests) tests, \(agreed) agree")
        for (why, count) in refused.sorted(by: { $0.key < $1.key }) {
            print("  refused: \(why): \(count.groups) schemas, \(count.tests) tests")
        }
        // More than these would be something new.
        #expect(agreed >= least)
        #expect(refused.values.reduce(0) { $0 + $1.groups } <= most)
    }

    /// JSON that I-JSON (RFC 7493) leaves out: a name twice, numbers beyond a double, other encodings than UTF-8.
    private static let notInteroperable = ["duplicated", "huge_exp", "overflow", "utf16", "utf32"]

    @Test("JSONTestSuite: what must be read is read, what must not is refused", .enabled(if: has("json")))
    func json() throws {
        var counts: [Character: (all: Int, taken: Int)] = [:]
        for name in files(in: "\(suites)/json") {
            let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: "\(suites)/json/\(name)")))
            let isTaken = (try? JSONParser.parse(bytes, maxDepth: 512)) != nil
            let kind = name.first ?? " "
            counts[kind, default: (0, 0)].all += 1
            if isTaken { counts[kind, default: (0, 0)].taken += 1 }
            switch kind {
            case "y": #expect(isTaken || Self.notInteroperable.contains { name.contains($0) }, "\(name)")
            case "n": #expect(!isTaken, "\(name)")
            default: break
            }
        }
        for (kind, count) in counts.sorted(by: { $0.key < $1.key }) {
            print("JSONTestSuite: \(kind)_: \(count.taken) of \(count.all) taken")
        }
        #expect((counts["y"]?.all ?? 0) > 90 && (counts["n"]?.all ?? 0) > 180)
    }
}
