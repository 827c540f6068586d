import FixedMemory

/// A line of a CSV text, or several lines if a quoted field contains line breaks.
struct CSVRecord {
  /// The number of its first line, counted from 1.
  let line: Int
  let fields: [CSVField]
  /// Why the line cannot be parsed; it then has no fields.
  let problem: FormatProblem?
}

struct CSVField {
  /// Without quotes and surrounding blanks.
  let range: Range<Int>
  let isQuoted: Bool

  /// The bytes of an unescaped field. Invalid UTF-8 is replaced.
  func text(in text: Span<UInt8>) -> String {
    var bytes: [UInt8] = []
    var index = range.lowerBound
    while index < range.upperBound {
      bytes.append(text[index])
      // In a quoted field, two quotes stand for one.
      index += isQuoted && text[index] == CSVText.quote ? 2 : 1
    }
    while bytes.last?.isBlank == true { bytes.removeLast() }
    return String(decoding: bytes.drop { $0.isBlank }, as: UTF8.self)
  }
}

/// Splits comma-separated values (RFC 4180) into records. Semicolons, tabs or blanks separate the fields if they do so
/// in the first line. Skips empty lines and comments, which begin with `#`.
struct CSVText {
  static var quote: UInt8 { UInt8(ascii: "\"") }
  private static var newline: UInt8 { UInt8(ascii: "\n") }
  /// In a line. The detection of formats also parses other texts than CSV.
  private static var mostFields: Int { 256 }
  private static var blank: UInt8 { UInt8(ascii: " ") }

  /// A blank stands for one or more blanks or tabs.
  private var separator = UInt8(ascii: ",")
  private var position = 0
  private var number = 1

  /// Finds the separator. A spreadsheet's line `sep=;` names it.
  init(_ text: Span<UInt8>) {
    skipEmptyLines(of: text)
    let line = text.slice(from: position, to: text.firstIndex(of: Self.newline, from: position) ?? text.count)
    let candidates = [",", ";", "\t"].compactMap { (text: String) in text.utf8.first }
    if line.begins(with: "sep="), line.count > 4, candidates.contains(line[4]),
      (5..<line.count).allSatisfy({ line[$0] == UInt8(ascii: "\r") })
    {
      separator = line[4]
      endLine(of: text)
      return
    }
    var counts = [Int](repeating: 0, count: candidates.count)
    var isQuoted = false
    for index in line.indices {
      if line[index] == Self.quote { isQuoted.toggle() }
      if !isQuoted, let kind = candidates.firstIndex(of: line[index]) { counts[kind] += 1 }
    }
    let most = counts.max() ?? 0
    separator = counts.firstIndex(of: most).flatMap { most > 0 ? candidates[$0] : nil } ?? Self.blank
  }

  var isSeparatedByBlanks: Bool { separator == Self.blank }

  mutating func next(in text: Span<UInt8>) -> CSVRecord? {
    skipEmptyLines(of: text)
    guard position < text.count else { return nil }
    let (start, line) = (position, number)
    var fields: [CSVField] = []
    do throws(FormatProblem) {
      while try takeField(of: text, into: &fields) {}
      return CSVRecord(line: line, fields: fields, problem: nil)
    } catch {
      // The next lines may be usable.
      (position, number) = (start, line)
      endLine(of: text)
      return CSVRecord(line: line, fields: [], problem: error.at(line))
    }
  }

  /// Returns false at the end of the record.
  private mutating func takeField(of text: Span<UInt8>, into fields: inout [CSVField]) throws(FormatProblem) -> Bool {
    guard fields.count < Self.mostFields else { throw FormatProblem("it has more than \(Self.mostFields) fields") }
    skipBlanks(of: text)
    if position < text.count, text[position] == Self.quote {
      let start = position + 1
      position = start
      while true {
        guard let quote = text.firstIndex(of: Self.quote, from: position) else {
          throw FormatProblem("a quoted field does not end")
        }
        position = quote + 1
        guard position < text.count, text[position] == Self.quote else { break }
        position += 1
      }
      let range = start..<position - 1
      number += range.count { text[$0] == Self.newline }
      fields.append(CSVField(range: range, isQuoted: true))
      skipBlanks(of: text)
    } else {
      let start = position
      while position < text.count, !isSeparator(text[position]), text[position] != Self.newline { position += 1 }
      var end = position
      while end > start, text[end - 1].isBlank || text[end - 1] == UInt8(ascii: "\r") { end -= 1 }
      fields.append(CSVField(range: start..<end, isQuoted: false))
    }
    if separator == Self.blank { skipBlanks(of: text) }
    if position < text.count, text[position] == UInt8(ascii: "\r") { position += 1 }
    guard position < text.count, text[position] != Self.newline else {
      endLine(of: text)
      return false
    }
    if separator == Self.blank {
      guard fields.last?.isQuoted == false || text[position - 1].isBlank else { throw Self.textAfterQuote }
      return true
    }
    guard text[position] == separator else { throw Self.textAfterQuote }
    position += 1
    return true
  }

  private static let textAfterQuote = FormatProblem("a quoted field is followed by text")

  private func isSeparator(_ byte: UInt8) -> Bool { separator == Self.blank ? byte.isBlank : byte == separator }

  private mutating func skipBlanks(of text: Span<UInt8>) {
    while position < text.count, text[position].isBlank, separator == Self.blank || text[position] != separator {
      position += 1
    }
  }

  private mutating func skipEmptyLines(of text: Span<UInt8>) {
    while position < text.count {
      var first = position
      while first < text.count, text[first].isBlank || text[first] == UInt8(ascii: "\r") { first += 1 }
      guard first == text.count || text[first] == Self.newline || text[first] == UInt8(ascii: "#") else { return }
      endLine(of: text)
    }
  }

  private mutating func endLine(of text: Span<UInt8>) {
    position = (text.firstIndex(of: Self.newline, from: position) ?? text.count) + 1
    number += 1
  }
}
