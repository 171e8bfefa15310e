import EnsignJSON
import EnsignModel
import EnsignTestSupport
import EnsignYAML
import Foundation
import Testing

@testable import EnsignManifest

/// The branch `data` of yaml-test-suite, where `make prove` has put it (Tests/suites.py).
private let suite = "\(packageRoot)/.build/suites/yaml"

@Suite("OfficialSuites: YAML")
struct OfficialYAMLTests {
    /// Not YAML, and read without harm: a comment or a bracket without a blank before it, `[-]`, a list in brackets that
    /// goes on at its parent's column.
    private static let lenient: Set<String> = [
        "9C9N", "9JBA", "CVW2", "G5U8", "QB6E", "S98Z", "SU5Z", "X4QW", "YJV2",
    ]
    /// Block texts that end with a line of blanks without a line end: libyaml leaves the last line end out.
    private static let cutOff: Set<String> = ["JEF9/02", "L24T/01"]
    /// YAML 1.2, and refused with a message about the place (docs/manifests.md, "The YAML that is accepted"): tabs between
    /// tokens and in block texts, colons of quoted keys in the next line, keys over two lines, root scalars.
    private static let leftOut: Set<String> = [
        "2JQS", "2LFX", "4ABK", "4MUZ/00", "4MUZ/01", "4MUZ/02", "58MP", "5MUD", "5T43", "6BCT", "6LVF", "7Z25",
        "8XYN", "96NN/00", "96NN/01", "9SA2", "A2M4", "BEC7", "CFD4", "DBG4", "DK3J", "DK95/00", "DK95/03", "FP8R",
        "FRK4", "HM87/00", "HWV9", "K3WX", "M7A3", "MUS6/05", "MUS6/06", "NHX8", "NJ66", "NKF9", "QT73", "R4YG",
        "S3PD", "SM9W/01", "UKK6/00", "UT92", "VJP3/01", "W5VH", "Y79Y/001", "Y79Y/010",
    ]

    /// Codes for what is documented as left out.
    private static let documented: Set<String> = [
        "alias", "anchor", "tag", "directive", "several-documents", "merge-key", "complex-key", "duplicate-key",
        "empty-file", "tab", "control-character", "byte-order-mark",
    ]

    @Test(
        "yaml-test-suite: what is accepted has the suite's value",
        .enabled(if: FileManager.default.fileExists(atPath: suite))
    )
    func cases() throws {
        var (count, equal, refused, skipped) = (0, 0, 0, 0)
        var (lenient, leftOut): (Set<String>, Set<String>) = ([], [])
        for path in try FileManager.default.subpathsOfDirectory(atPath: suite).sorted() where path.hasSuffix("in.yaml")
        {
            let id = String(path.dropLast("/in.yaml".count))
            // Links to the same cases by name and by tag.
            guard !id.hasPrefix("name/"), !id.hasPrefix("tags/") else { continue }
            count += 1
            let folder = "\(suite)/\(id)"
            let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: "\(suite)/\(path)")))
            let isInvalid = FileManager.default.fileExists(atPath: "\(folder)/error")
            let scanned = TextScan.scan(bytes, manifest: true)
            let (tape, problems) = YAMLParser.parse(scanned.text)
            let codes = Set((scanned.problems + problems).map(\.code))
            guard codes.isEmpty else {
                refused += 1
                if !isInvalid, codes.isDisjoint(with: Self.documented) { leftOut.insert(id) }
                continue
            }
            if isInvalid {
                lenient.insert(id)
                continue
            }
            guard let json = try? Data(contentsOf: URL(fileURLWithPath: "\(folder)/in.json")),
                let wanted = try? JSONParser.parse([UInt8](json)), let root = tape.root,
                let value = Self.value(of: root, tape)
            else {
                skipped += 1
                continue
            }
            #expect(value == wanted || Self.cutOff.contains(id), "\(id)")
            if value == wanted { equal += 1 }
        }
        print(
            "yaml-test-suite: \(count) cases, \(equal) with equal values, \(refused) refused, \(skipped) not compared"
        )
        print("  refused though YAML: \(leftOut.sorted().joined(separator: " "))")
        print("  accepted though not YAML: \(lenient.sorted().joined(separator: " "))")
        #expect(leftOut.subtracting(Self.leftOut).isEmpty)
        #expect(lenient.subtracting(Self.lenient).isEmpty)
    }

    /// By the JSON schema of YAML; nil where a scalar must be quoted here.
    private static func value(of node: Int, _ tape: YAMLTape) -> JSONValue? {
        switch tape.kind(of: node) {
        case .quoted: return .string(tape.string(of: node))
        case .invalid: return nil
        case .plain:
            switch Scalar(plain: tape.bytes(of: node)) {
            case .null: return .null
            case .boolean(let value): return .bool(value)
            case .integer(let value): return .integer(value)
            case .number(let value): return JSONValue(value)
            case .text: return .string(tape.string(of: node))
            case .ambiguous, .outOfRange: return nil
            }
        case .sequence:
            var values: [JSONValue?] = []
            tape.forEachElement(of: node) { values.append(value(of: $0, tape)) }
            return values.contains(nil) ? nil : .array(values.compactMap { $0 })
        case .mapping:
            var pairs: [(String, JSONValue?)] = []
            tape.forEachPair(of: node) { pairs.append((tape.string(of: $0), value(of: $1, tape))) }
            guard pairs.allSatisfy({ $0.1 != nil }) else { return nil }
            return .object(JSONObject(pairs.map { ($0.0, $0.1 ?? .null) }))
        }
    }
}
