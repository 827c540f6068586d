internal import FixedMemory

/// Reads text line by line and word by word. It remembers where it is; the text is handed to it at each call.
struct LineReader {
  /// The number of the line read last, counted from 1.
  private(set) var number: UInt32 = 0

  private var next = 0
  private var line = ByteRange()
  private var position = 0

  /// Whether every line has been read.
  func isAtEnd(of text: Span<UInt8>) -> Bool { next >= text.count }

  /// Goes to the next line. False where there is none that ends with a line feed.
  mutating func advance(in text: Span<UInt8>) -> Bool {
    guard let end = text.firstIndex(of: UInt8(ascii: "\n"), from: next) else { return false }
    line = ByteRange(start: next, end: end)
    position = next
    next = end &+ 1
    number &+= 1
    return true
  }

  /// Looks for a line that is like this one behind it.
  ///
  /// - Parameters:
  ///   - length: How many bytes at the beginning must be the same.
  ///   - text: What is read.
  /// - Returns: As many bytes as this line has, with a line feed behind them, and maybe one among those that are not
  ///   the same; nil where there is none like it.
  func nextLine(alikeFor length: Int, in text: Span<UInt8>) -> ByteRange? {
    let following = ByteRange(start: next, end: next &+ line.end &- line.start)
    guard text.byte(at: following.end) == UInt8(ascii: "\n") else { return nil }
    return text.isSame(at: next, as: line.start, count: length) ? following : nil
  }

  /// Goes to the next line, which is ``nextLine(alikeFor:in:)``, and as far into it as into this one.
  mutating func advance(to following: ByteRange) {
    position = following.start &+ position &- line.start
    line = following
    next = following.end &+ 1
    number &+= 1
  }

  /// How much of the line has been read, in bytes.
  var offset: Int { position &- line.start }

  /// Whether the rest of the line is exactly `literal`.
  func isLine(_ literal: Literal, in text: Span<UInt8>) -> Bool {
    text.slice(from: position, to: line.end).isEqual(to: literal)
  }

  /// Passes over `literal`; false, and stays, where the line does not go on with it.
  mutating func skip(_ literal: Literal, in text: Span<UInt8>) -> Bool {
    guard line.end &- position >= literal.byteCount, text.starts(with: literal, at: position) else { return false }
    position &+= literal.byteCount
    return true
  }

  /// The next word: what stands before the next blank or the end of the line. The blank is passed over.
  mutating func word(in text: Span<UInt8>) -> ByteRange {
    let blank = text.firstIndex(of: UInt8(ascii: " "), from: position) ?? line.end
    let word = ByteRange(start: position, end: Swift.min(blank, line.end))
    position = blank < line.end ? blank &+ 1 : line.end
    return word
  }

  /// The rest of the line.
  func rest() -> ByteRange { ByteRange(start: position, end: line.end) }
}
