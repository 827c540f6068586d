/// A table of text: columns as wide as what is in them, two blanks apart.
struct TextTable {
  private var rows: [[String]]

  /// A table with these headings.
  init(_ headings: [String]) { rows = [headings] }

  /// Adds a row. The last cell of one with fewer cells than there are headings goes on to the end of the line.
  mutating func add(_ row: [String]) { rows.append(row) }

  /// The lines, without blanks at their ends.
  var text: String { text(columns: nil) }

  /// The lines as they fit a terminal: where they are too long, the first column is cut, which has names in it, and
  /// then what is still too long.
  ///
  /// - Parameter columns: How many columns the terminal has; nil for as many as it takes.
  /// - Returns: The lines, each with its end.
  func text(columns: Int?) -> String {
    var widths = widths
    let whole = widths.reduce(0, +) + 2 * max(0, widths.count - 1)
    if let columns, let first = widths.first, whole > columns {
      widths[0] = max(min(first, Self.shortestName), first - (whole - columns))
    }
    return rows.map { line($0, widths, columns) }.joined()
  }

  /// No name is cut to less than this.
  private static let shortestName = 8

  private var widths: [Int] {
    var widths = [Int](repeating: 0, count: rows.map(\.count).max() ?? 0)
    for row in rows {
      // What goes on to the end of the line makes no column wider.
      let cells = row.count < widths.count ? row.dropLast() : row[...]
      for (column, cell) in cells.enumerated() { widths[column] = max(widths[column], cell.displayWidth) }
    }
    return widths
  }

  private func line(_ row: [String], _ widths: [Int], _ columns: Int?) -> String {
    var line = ""
    for (column, cell) in row.enumerated() {
      let text = column < row.count - 1 ? cell.cut(to: widths[column]).padded(to: widths[column] + 2) : cell
      line += text
    }
    return (columns.map { line.cut(to: $0) } ?? line) + "\n"
  }
}
