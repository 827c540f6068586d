/// A table of text: columns as wide as what is in them, two blanks apart.
struct TextTable {
  private var rows: [[String]]

  /// A table with these headings.
  init(_ headings: [String]) { rows = [headings] }

  /// Adds a row.
  mutating func add(_ row: [String]) { rows.append(row) }

  /// The lines, without blanks at their ends.
  var text: String {
    var widths: [Int] = []
    for row in rows {
      for (column, cell) in row.enumerated() {
        if column == widths.count { widths.append(0) }
        widths[column] = max(widths[column], cell.count)
      }
    }
    return rows.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let padding = column == row.count - 1 ? 0 : widths[column] + 2 - cell.count
        line += cell + String(repeating: " ", count: padding)
      }
      return line + "\n"
    }.joined()
  }
}
