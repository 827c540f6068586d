internal import FixedMemory

/// Reads text from its beginning to its end. It remembers where it is; the text is handed to it at each call.
struct TextReader {
  /// How many bytes have been read.
  private(set) var position = 0

  /// Where the step began that was tried last.
  private var begun = 0

  /// Whether everything has been read.
  func isAtEnd(of text: Span<UInt8>) -> Bool { position >= text.count }

  /// The number of the line in which the last step began, counted from 1; at the end that of the last line.
  func lineNumber(in text: Span<UInt8>) -> UInt32 {
    var number: UInt32 = 1
    var start = 0
    while let end = text.firstIndex(of: UInt8(ascii: "\n"), from: start), end < begun, end &+ 1 < text.count {
      number &+= 1
      start = end &+ 1
    }
    return number
  }

  /// Whether the last step began in a line that has no line feed at its end, or behind the last line.
  func isInUnendedLine(of text: Span<UInt8>) -> Bool {
    text.firstIndex(of: UInt8(ascii: "\n"), from: begun) == nil
  }

  /// Passes over `literal`; false, and stays, where the text does not go on with it.
  mutating func skip(_ literal: Literal, in text: Span<UInt8>) -> Bool {
    begun = position
    guard text.starts(with: literal, at: position) else { return false }
    position &+= literal.byteCount
    return true
  }

  /// Passes over so many bytes, or as many as there are.
  mutating func skip(_ count: Int, in text: Span<UInt8>) {
    begun = position
    position = Swift.min(position &+ Swift.max(count, 0), text.count)
  }

  /// Goes behind the next `end`.
  ///
  /// - Returns: Where what stands before it lies; nil, and stays, where there is no `end`.
  mutating func range(upTo end: UInt8, in text: Span<UInt8>) -> ByteRange? {
    begun = position
    guard let last = text.firstIndex(of: end, from: position) else { return nil }
    let range = ByteRange(start: position, end: last)
    position = last &+ 1
    return range
  }

  /// Goes behind the next blank.
  ///
  /// - Returns: What stands before it; nothing, and stays, where there is no blank. There may be a line feed in it,
  ///   which is part of no word that the caller wants.
  @_lifetime(copy text)
  mutating func word(in text: Span<UInt8>) -> Span<UInt8> {
    let word = range(upTo: UInt8(ascii: " "), in: text) ?? ByteRange()
    return text.slice(from: word.start, to: word.end)
  }
}
