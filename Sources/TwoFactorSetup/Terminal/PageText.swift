/// Text laid out for a page of so many columns.
enum PageText {
  /// Breaks a text at its blanks into lines of at most `columns`; a word that is longer is broken where the line
  /// ends. A text that is empty is one empty line.
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

  /// How many rows a text takes that the terminal itself breaks.
  static func rows(of text: String, columns: Int) -> Int {
    max(1, (text.displayWidth + columns - 1) / columns)
  }
}

extension StringProtocol {
  /// How many columns of a terminal the text takes.
  var displayWidth: Int { reduce(0) { $0 + $1.displayWidth } }

  /// The text with blanks up to so many columns.
  func padded(to columns: Int) -> String { self + String(repeating: " ", count: Swift.max(0, columns - displayWidth)) }

  /// As much of the text as fits in so many columns, with a mark where something is missing.
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
  /// How many columns of a terminal the character takes: two for the ideographs of East Asia and most pictures
  /// (Unicode Standard Annex 11), else one.
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
