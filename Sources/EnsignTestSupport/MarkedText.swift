package import EnsignModel

/// A text in which the markers ① to ⑳ are right before the places that a test mentions.
///
/// `①modle: x` is the text `modle: x` and the position 1:1 under the name ①. Positions count as findings do: lines and
/// columns from 1, columns in Unicode scalars.
package struct MarkedText: Sendable {
    /// The text without markers.
    package private(set) var text = ""
    package private(set) var positions: [Unicode.Scalar: Position] = [:]

    private static let markers: ClosedRange<Unicode.Scalar> = "①"..."⑳"

    package init(_ marked: String) {
        var position = Position.start
        for scalar in marked.unicodeScalars {
            if Self.markers.contains(scalar) {
                precondition(positions[scalar] == nil, "the marker \(scalar) stands twice")
                positions[scalar] = position
                continue
            }
            text.unicodeScalars.append(scalar)
            if scalar == "\n" {
                position = Position(line: position.line + 1, column: 1)
            } else {
                position.column += 1
            }
        }
    }

    package var bytes: [UInt8] { Array(text.utf8) }

    /// The marker at a position, else the position as `line:column`.
    package func name(_ position: Position) -> String {
        positions.first { $0.value == position }.map { String($0.key) } ?? "\(position.line):\(position.column)"
    }
}

extension Position {
    /// Whether the position lies inside a text; the place after the last character of a line counts.
    package func lies(inside text: [UInt8]) -> Bool {
        var lines = text.split(separator: 0x0A, omittingEmptySubsequences: false)
        if text.starts(with: [0xEF, 0xBB, 0xBF]) { lines[0] = lines[0].dropFirst(3) }
        guard line >= 1, column >= 1, Int(line) <= lines.count else { return false }
        return Int(column) <= String(decoding: lines[Int(line) - 1], as: UTF8.self).unicodeScalars.count + 1
    }
}
