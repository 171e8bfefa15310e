import EnsignModel

/// Columns of text, each as wide as its widest cell; on a terminal the widest are cut until a line fits.
package struct TextTable {
    package var header: [String]
    package var rows: [[String]] = []

    package init(header: [String], rows: [[String]] = []) {
        self.header = header
        self.rows = rows
    }

    package func render(_ console: Console) -> String {
        guard !rows.isEmpty else { return "" }
        var widths = header.map(\.count)
        for row in rows {
            for (index, cell) in row.enumerated() { widths[index] = max(widths[index], cell.count) }
        }
        let rows = fit(&widths, console.width)
        func line(_ cells: [String]) -> String {
            var text = ""
            for (index, cell) in cells.enumerated() {
                text += cell
                if index < cells.count - 1 { text += String(repeating: " ", count: widths[index] - cell.count + 2) }
            }
            while text.hasSuffix(" ") { text.removeLast() }
            return text + "\n"
        }
        return console.paint(String(line(header).dropLast()), .bold) + "\n" + rows.map(line).joined()
    }

    /// No column is cut below this.
    private static let narrowest = 12

    /// The rows with cells that are as wide as the terminal has room for. Whatever reads from a pipe gets all.
    private func fit(_ widths: inout [Int], _ terminal: Int?) -> [[String]] {
        guard let terminal else { return rows }
        let room = terminal - 2 * (widths.count - 1)
        let least = header.map { max(Self.narrowest, $0.count) }
        var cap = widths.max() ?? 0
        func capped() -> [Int] { zip(widths, least).map { min($0, max(cap, $1)) } }
        while cap > Self.narrowest, capped().reduce(0, +) > room { cap -= 1 }
        let fitting = capped()
        widths = fitting
        let widths = widths
        return rows.map { row in
            row.enumerated().map { index, cell in
                cell.count > widths[index] ? String(cell.prefix(widths[index] - 3)) + "..." : cell
            }
        }
    }
}
