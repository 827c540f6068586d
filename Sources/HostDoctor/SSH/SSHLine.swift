/// One line of sshd_config(5), split as sshd splits it.
struct SSHLine {
  enum Reading {
    case empty
    case line(SSHLine)
    case invalid(String)
  }

  /// In lower case.
  let keyword: String
  let arguments: [String]

  static func read(_ bytes: ArraySlice<UInt8>) -> Reading {
    var rest = bytes
    while let last = rest.last, isBlank(last) || last == 0x0C { rest.removeLast() }
    guard !rest.contains(0) else { return .invalid("contains a NUL byte") }
    var keyword = nextWord(&rest)
    if keyword?.isEmpty == true { keyword = nextWord(&rest) }
    guard let keyword, let first = keyword.first, first != UInt8(ascii: "#") else { return .empty }
    let name = String(decoding: keyword, as: UTF8.self)
    guard !rest.isEmpty else { return .invalid("\(name) has no argument") }
    guard let arguments = split(rest) else { return .invalid("has an unterminated quote") }
    return .line(SSHLine(keyword: name.lowercased(), arguments: arguments))
  }

  private static func isBlank(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0D, 0x0A].contains(byte) }

  /// Removes the first word, which ends at a blank, an `=` or a quote, and the separator after it. Nil if a quote is
  /// unterminated.
  private static func nextWord(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
    let quote = UInt8(ascii: "\"")
    guard let end = rest.firstIndex(where: { isBlank($0) || $0 == quote || $0 == UInt8(ascii: "=") }) else {
      defer { rest = [] }
      return Array(rest)
    }
    var word = Array(rest[..<end])
    var hasEquals = rest[end] == UInt8(ascii: "=")
    let isQuoted = rest[end] == quote
    rest = rest[(end + 1)...]
    if isQuoted {
      guard let close = rest.firstIndex(of: quote) else { return nil }
      word += rest[..<close]
      rest = rest[(close + 1)...]
      hasEquals = true
    }
    rest = rest.drop(while: isBlank)
    if !hasEquals, rest.first == UInt8(ascii: "=") { rest = rest.dropFirst().drop(while: isBlank) }
    return word
  }

  /// Splits at blanks, up to a comment, and resolves quotes and backslashes. Nil if a quote is unterminated.
  private static func split(_ bytes: ArraySlice<UInt8>) -> [String]? {
    var words: [String] = []
    var rest = bytes
    while true {
      rest = rest.drop { $0 == 0x20 || $0 == 0x09 }
      guard let first = rest.first, first != UInt8(ascii: "#") else { return words }
      var word: [UInt8] = []
      var quote: UInt8?
      while let byte = rest.popFirst() {
        switch byte {
        case UInt8(ascii: "\\"):
          let next = rest.first
          let isEscape = next.map { Array("'\"\\".utf8).contains($0) || quote == nil && $0 == 0x20 } ?? false
          word.append(isEscape ? rest.removeFirst() : byte)
          continue
        case 0x20 where quote == nil, 0x09 where quote == nil: break
        case quote:
          quote = nil
          continue
        case UInt8(ascii: "\"") where quote == nil, UInt8(ascii: "'") where quote == nil:
          quote = byte
          continue
        default:
          word.append(byte)
          continue
        }
        break
      }
      guard quote == nil else { return nil }
      words.append(String(decoding: word, as: UTF8.self))
    }
  }
}
