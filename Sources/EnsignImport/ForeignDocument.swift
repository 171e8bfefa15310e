import EnsignJSON
import EnsignManifest
package import EnsignModel
import EnsignYAML

/// A document that was not written for Ensign: JSON, or the YAML that people commonly write.
package enum ForeignDocument {
    /// Reads one.
    ///
    /// JSON is read strictly. YAML may be of the subset that Ensign reads (one document, no anchors and no tags), with
    /// its scalars as YAML 1.2 has them: what only some readers take for another type is text.
    ///
    /// - Throws: ``ForeignDocumentError`` with the place.
    package static func read(_ bytes: [UInt8]) throws(ForeignDocumentError) -> JSONValue {
        let first = bytes.first { $0 > 0x20 }
        if first == UInt8(ascii: "{") || first == UInt8(ascii: "[") {
            do {
                return try JSONParser.parse(bytes)
            } catch {
                throw ForeignDocumentError(description: "it is not JSON: \(error.description)")
            }
        }
        let scan = TextScan.scan(bytes, manifest: false)
        let (tape, problems) = YAMLParser.parse(scan.text)
        if let problem = (scan.problems + problems).first {
            let place = "line \(problem.mark.line), column \(problem.mark.column)"
            throw ForeignDocumentError(
                description: "it is not YAML that can be read: \(place): \(problem.message.onOneLine(utf8: 200))"
            )
        }
        guard let root = tape.root, let value = JSONValue(foreign: tape, root) else {
            throw ForeignDocumentError(description: "it is empty")
        }
        return value
    }
}

/// Why a document cannot be read. One sentence without a full stop, printable.
package struct ForeignDocumentError: Error, Sendable, Hashable, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}
