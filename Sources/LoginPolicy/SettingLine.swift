package import FixedMemory

/// Iterates over the lines of a configuration file.
package struct SettingLines: Sendable {
  private var start = 0

  /// Of the last line, from 1.
  package private(set) var number: UInt32 = 0

  /// Starts before the first line.
  package init() {}

  /// The next line without surrounding blanks; nil at the end.
  @_lifetime(copy text)
  package mutating func next(in text: Span<UInt8>) -> Span<UInt8>? {
    guard start < text.count else { return nil }
    let end = text.firstIndex(of: UInt8(ascii: "\n"), from: start) ?? text.count
    let line = text.slice(from: start, to: end)
    start = end &+ 1
    number &+= 1
    return line.trimmed
  }
}

/// A line `name = value` of a configuration file.
package struct SettingLine: ~Escapable {
  /// Before the equals sign, without surrounding blanks.
  package let name: Span<UInt8>

  /// Without surrounding blanks, but with quotation marks.
  private let text: Span<UInt8>

  /// From 1.
  private let number: UInt32

  /// Nil for an empty line, and for a comment, which begins with `#`.
  @_lifetime(copy line)
  package init?(_ line: Span<UInt8>, number: UInt32) throws(PolicyProblem) {
    guard line.count > 0, line.byte(at: 0) != UInt8(ascii: "#") else { return nil }
    guard let equals = line.firstIndex(of: UInt8(ascii: "=")) else {
      throw PolicyProblem("has no value", line, line: number)
    }
    name = line.slice(from: 0, to: equals).trimmed
    text = line.slice(from: equals &+ 1).trimmed
    self.number = number
  }

  /// The value without its quotes. Rejects text that an administrator may have meant as a comment or another setting;
  /// `isName` knows the names of all settings.
  @_lifetime(copy self)
  package func value(_ isName: (Span<UInt8>) -> Bool) throws(PolicyProblem) -> Span<UInt8> {
    let quote = UInt8(ascii: "\"")
    guard text.byte(at: 0) == quote else {
      try checkUnquoted(isName)
      return text
    }
    guard let end = text.firstIndex(of: quote, from: 1) else { throw problem("has no closing quotation mark") }
    guard end &+ 1 == text.count else { throw problem("has text after the closing quotation mark") }
    return text.slice(from: 1, to: end)
  }

  /// A problem of this line.
  package func problem(_ problem: Literal) -> PolicyProblem { PolicyProblem(problem, name, line: number) }

  private func checkUnquoted(_ isName: (Span<UInt8>) -> Bool) throws(PolicyProblem) {
    guard text.firstIndex(of: UInt8(ascii: "\"")) == nil else {
      throw problem("has a quotation mark that does not enclose the whole value")
    }
    guard text.count < 2 || text.byte(at: 0) != UInt8(ascii: "'") || text.byte(at: text.count &- 1) != UInt8(ascii: "'")
    else { throw problem("is in single quotes: use double quotes") }
    guard text.byte(at: text.count &- 1) != UInt8(ascii: "\\") else {
      throw problem("ends with a backslash, but a line cannot be continued")
    }
    var start = 0
    while start < text.count {
      let word = text.word(from: start)
      guard !word.beginsComment else {
        throw problem("has a comment after its value: give it a line of its own, or put the value in double quotes")
      }
      guard !Self.isAssignment(word, before: text.slice(from: start &+ word.count), isName) else {
        throw problem("has another option after its value: give it a line of its own")
      }
      start &+= word.count &+ 1
    }
  }

  /// Whether a word and the text after it set an option: `window=2`, `window = 2`.
  private static func isAssignment(
    _ word: Span<UInt8>, before rest: Span<UInt8>, _ isName: (Span<UInt8>) -> Bool
  ) -> Bool {
    let equals = word.firstIndex(of: UInt8(ascii: "="))
    guard equals != nil || rest.trimmed.byte(at: 0) == UInt8(ascii: "=") else { return false }
    return isName(word.slice(from: 0, to: equals ?? word.count))
  }
}

extension Span where Element == UInt8 {
  /// Ends at a blank, or at a no-break space (U+00A0), which looks like one.
  @_lifetime(copy self)
  fileprivate func word(from start: Int) -> Span<UInt8> {
    var end = start
    while end < count, let byte = byte(at: end), !byte.isBlank {
      if byte == 0xa0, end > start, self.byte(at: end &- 1) == 0xc2 { break }
      end &+= 1
    }
    return slice(from: start, to: end)
  }

  /// Whether the word begins a comment in a common language.
  fileprivate var beginsComment: Bool {
    let first = byte(at: 0)
    return first == UInt8(ascii: "#") || first == UInt8(ascii: ";") || starts(with: "//")
  }

  package var hasControlCharacters: Bool {
    var indices = Counter(to: count)
    while let index = indices.next() {
      guard let byte = byte(at: index), byte >= 0x20, byte != 0x7f else { return true }
    }
    return false
  }
}
