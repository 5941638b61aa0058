/// Text in columns, for people.
struct Table: Sendable {
    struct Cell: Sendable, ExpressibleByStringInterpolation {
        var text: String
        var style = Terminal.Style.plain
        var isNumber = false

        init(stringLiteral text: String) { self.init(text) }

        init(_ text: String, _ style: Terminal.Style = .plain) {
            // Much of it others have written.
            self.text = Terminal.harmlessButColours(text).replacing("\n", with: " ")
            self.style = style
        }

        /// Right-aligned.
        static func number(_ text: some CustomStringConvertible, _ style: Terminal.Style = .plain) -> Cell {
            var cell = Cell("\(text)", style)
            cell.isNumber = true
            return cell
        }
    }

    var headers: [String]
    var rows: [[Cell]] = []

    init(_ headers: String...) { self.headers = headers }
    init(headers: [String]) { self.headers = headers }

    mutating func add(_ cells: Cell...) { rows.append(cells) }
    mutating func add(cells: [Cell]) { rows.append(cells) }

    /// The lines without a newline at the end. Columns are as wide as their widest cell.
    func text(paint: (String, Terminal.Style) -> String = { Terminal.paint($0, $1) }) -> String {
        let all = [headers.map { Cell($0, .faint) }] + rows
        let isNumber = headers.indices.map { column in
            rows.contains { column < $0.count && $0[column].isNumber }
        }
        let widths = headers.indices.map { column in
            all.map { column < $0.count ? $0[column].text.count : 0 }.max() ?? 0
        }
        return all.map { row in
            let cells = row.indices.map { column in
                let cell = row[column]
                let padding = String(repeating: " ", count: widths[column] - cell.text.count)
                let painted = paint(cell.text, cell.style)
                if isNumber[column] { return padding + painted }
                return column == row.count - 1 ? painted : painted + padding
            }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}
