package import EnsignHost
package import EnsignModel

extension FleetValidation {
    /// The findings as forges read them: SARIF 2.1.0, one run.
    ///
    /// Places are relative to the folder that was checked (`%SRCROOT%`, section 3.14.14 of the format), which is the
    /// repository's root for whoever shows them beside its files. A hint is part of the message: few readers show a
    /// result's other texts.
    ///
    /// - Parameter version: Ensign's own.
    package func sarif(version: String) -> JSONValue {
        let codes = Set(findings.map(\.code)).sorted()
        let index = Dictionary(uniqueKeysWithValues: codes.enumerated().map { ($0.element, Int64($0.offset)) })
        let results = findings.map { finding -> JSONValue in
            var result: JSONObject = [
                "ruleId": .string(finding.code),
                "ruleIndex": .integer(index[finding.code] ?? -1),
                "level": .string(finding.severity.rawValue),
                "message": ["text": .string(finding.message + (finding.hint.map { ". Hint: \($0)" } ?? ""))],
                "locations": [Self.location(finding.path, finding.position)],
            ]
            if !finding.notes.isEmpty {
                result["relatedLocations"] = .array(
                    finding.notes.map { Self.location($0.path, $0.position, message: $0.message) }
                )
            }
            return .object(result)
        }
        return [
            "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                [
                    "tool": [
                        "driver": [
                            "name": "ensign", "version": .string(version),
                            "rules": .array(codes.map { ["id": .string($0)] }),
                        ]
                    ],
                    // Columns count Unicode scalars, as in all of Ensign's output.
                    "columnKind": "unicodeCodePoints",
                    "results": .array(results),
                ]
            ],
        ]
    }

    private static func location(_ path: String, _ position: Position, message: String? = nil) -> JSONValue {
        var location: JSONObject = [
            "physicalLocation": [
                "artifactLocation": ["uri": .string(uri(path)), "uriBaseId": "%SRCROOT%"],
                "region": [
                    "startLine": .integer(Int64(position.line)), "startColumn": .integer(Int64(position.column)),
                ],
            ]
        ]
        if let message { location["message"] = ["text": .string(message)] }
        return .object(location)
    }

    /// A path as a relative reference (RFC 3986, section 4.2): also one with a colon in its first part.
    private static func uri(_ path: String) -> String {
        var text = ""
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: "/"):
                text.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                text += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return text
    }
}
