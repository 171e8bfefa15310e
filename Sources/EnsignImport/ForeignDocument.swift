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
        // Behind a byte order mark, too.
        let first = bytes.first { $0 > 0x20 && $0 < 0x80 }
        if first == UInt8(ascii: "{") || first == UInt8(ascii: "[") {
            do {
                return try JSONParser.parse(foreign: bytes)
            } catch {
                throw ForeignDocumentError(
                    description: "it is not JSON: \(error.message)",
                    line: error.line,
                    column: error.column
                )
            }
        }
        let scan = TextScan.scan(bytes, manifest: false)
        let (tape, problems) = YAMLParser.parse(scan.text)
        if let problem = (scan.problems + problems).first {
            throw ForeignDocumentError(
                description: "it is not YAML that can be read: \(problem.message.onOneLine(utf8: 200))",
                line: Int(problem.mark.line),
                column: Int(problem.mark.column)
            )
        }
        guard let root = tape.root, let value = JSONValue(foreign: tape, root) else {
            throw ForeignDocumentError(description: "it is empty")
        }
        return value
    }
}

/// Why a document cannot be read. One sentence without a full stop, printable.
package struct ForeignDocumentError: Error, Sendable, CustomStringConvertible {
    package let description: String
    /// Where, counted from 1; nil where it is about the whole.
    private let place: (line: Int, column: Int)?
    /// The file that it is about, where that is another one than the one that was named.
    package var file: String?

    package init(description: String) {
        self.description = description
        place = nil
    }

    init(description: String, line: Int, column: Int) {
        self.description = description
        place = (line, column)
    }

    /// With the file in front, and the place in it.
    package func text(of file: String) -> String {
        "\(self.file ?? file)\(place.map { ":\($0.line):\($0.column)" } ?? ""): \(description)"
    }
}
