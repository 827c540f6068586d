import FixedMemory

struct TextLine {
  /// Counted from 1.
  let number: Int
  let range: Range<Int>

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

/// Splits at LF and CR LF.
struct TextLines {
  private var position = 0
  private var number = 0

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
  /// Nil if the bytes are not UTF-8.
  func text(_ range: Range<Int>) -> String? {
    String(validating: range.map { self[$0] }, as: UTF8.self)
  }

  @_lifetime(copy self)
  func slice(_ range: Range<Int>) -> Span<UInt8> { slice(from: range.lowerBound, to: range.upperBound) }

  /// Ignores case; the prefix is in lower case.
  func begins(with prefix: String) -> Bool {
    count >= prefix.utf8.count && prefix.utf8.enumerated().allSatisfy { self[$0.offset].lowercased == $0.element }
  }
}

extension UInt8 {
  var lowercased: UInt8 { self >= UInt8(ascii: "A") && self <= UInt8(ascii: "Z") ? self | 0x20 : self }
}
