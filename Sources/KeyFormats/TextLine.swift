import FixedMemory

/// A line of a text: where it stands, without its end.
struct TextLine {
  /// Counted from 1.
  let number: Int
  let range: Range<Int>

  /// Where the words are: what blanks divide.
  func words(in text: Span<UInt8>) -> [Range<Int>] {
    var words: [Range<Int>] = []
    var start: Int?
    for index in range {
      if text[index].isBlank || text[index] == UInt8(ascii: "\r") {
        if let first = start { words.append(first..<index) }
        start = nil
      } else if start == nil {
        start = index
      }
    }
    if let start { words.append(start..<range.upperBound) }
    return words
  }
}

/// Reads a text line by line; a line ends with a line feed, with a carriage return before it or not, and the last
/// one may end with the text.
struct TextLines {
  private var position = 0
  private var number = 0

  /// The next line, or nil at the end.
  mutating func next(in text: Span<UInt8>) -> TextLine? {
    guard position < text.count else { return nil }
    let end = text.firstIndex(of: UInt8(ascii: "\n"), from: position) ?? text.count
    number += 1
    defer { position = end + 1 }
    let hasReturn = end > position && text[end - 1] == UInt8(ascii: "\r")
    return TextLine(number: number, range: position..<(hasReturn ? end - 1 : end))
  }
}

extension Span where Element == UInt8 {
  /// The bytes of a range as text; nil where they are not UTF-8.
  func text(_ range: Range<Int>) -> String? {
    String(validating: range.map { self[$0] }, as: UTF8.self)
  }

  /// The bytes of a range.
  @_lifetime(copy self)
  func slice(_ range: Range<Int>) -> Span<UInt8> { slice(from: range.lowerBound, to: range.upperBound) }
}
