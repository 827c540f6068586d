enum PageText {
  /// Breaks at blanks, and long words anywhere. An empty text is one empty line.
  static func wrapped(_ text: String, columns: Int) -> [String] {
    let columns = max(columns, 2)
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
      if !line.isEmpty, line.displayWidth + 1 + word.displayWidth > columns {
        lines.append(line)
        line = ""
      }
      line += line.isEmpty ? "" : " "
      for character in word {
        if line.displayWidth + character.displayWidth > columns {
          lines.append(line)
          line = ""
        }
        line.append(character)
      }
    }
    return lines + [line]
  }

  static func rows(of text: String, columns: Int) -> Int {
    max(1, (text.displayWidth + columns - 1) / columns)
  }
}

struct TextTable {
  private var rows: [[String]]

  init(_ headings: [String]) { rows = [headings] }

  /// In a short row, the last cell extends to the end of the line.
  mutating func add(_ row: [String]) { rows.append(row) }

  var text: String { text(columns: nil) }

  /// Truncates the first column, which contains names, then the ends of lines.
  func text(columns: Int?) -> String {
    var widths = widths
    let whole = widths.reduce(0, +) + 2 * max(0, widths.count - 1)
    if let columns, let first = widths.first, whole > columns {
      widths[0] = max(min(first, Self.shortestName), first - (whole - columns))
    }
    return rows.map { line($0, widths, columns) }.joined()
  }

  /// Each cell in a line of its own, after its heading; an empty line between the rows.
  var records: String {
    rows.dropFirst().map { row in
      zip(rows[0], row).map { $0 + ": " + $1 + "\n" }.joined()
    }.joined(separator: "\n")
  }

  private static let shortestName = 8

  private var widths: [Int] {
    var widths = [Int](repeating: 0, count: rows.map(\.count).max() ?? 0)
    for row in rows {
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

extension StringProtocol {
  var displayWidth: Int { reduce(0) { $0 + $1.displayWidth } }

  func padded(to columns: Int) -> String { self + String(repeating: " ", count: Swift.max(0, columns - displayWidth)) }

  /// Truncates with `~`.
  func cut(to columns: Int) -> String {
    guard displayWidth > columns else { return String(self) }
    var text = ""
    for character in self {
      guard text.displayWidth + character.displayWidth < columns else { break }
      text.append(character)
    }
    return columns > 0 ? text + "~" : ""
  }
}

extension Character {
  /// Two columns for East Asian ideographs and most pictures (Unicode Standard Annex 11), else one.
  fileprivate var displayWidth: Int {
    guard let first = unicodeScalars.first?.value, first >= 0x1100 else { return 1 }
    switch first {
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
      0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
      return 2
    default: return 1
    }
  }
}
