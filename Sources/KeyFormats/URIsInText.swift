import FixedMemory

/// Finds the URIs of apps for one-time codes, also inside other text: output of zbarimg, entries of password stores,
/// HTML, JSON, CSV, quoted mail, and other URLs.
struct URIsInText {
  private var lines = TextLines()
  private var line: TextLine?
  private var position = 0

  /// The next URI, up to the next one or the end of its line. Skips lines that begin with `#`.
  mutating func next(in text: Span<UInt8>) -> FoundURI? {
    while true {
      if line == nil {
        guard let next = lines.next(in: text) else { return nil }
        position = Self.start(of: next, in: text)
        guard position < next.range.upperBound, text[position] != UInt8(ascii: "#") else { continue }
        line = next
      }
      guard let current = line else { return nil }
      guard let found = Self.find(in: text, current.range, from: position) else {
        line = nil
        continue
      }
      let following = Self.find(in: text, current.range, from: found.end)?.start ?? current.range.upperBound
      let start = Self.start(of: current, in: text)
      let uri = FoundURI(
        scheme: found.scheme, line: current.number, range: found.start..<following, rest: found.end,
        isEncoded: found.isEncoded,
        beginsLine: found.start == start || found.start == start + 8 && text.isQRCode(start),
        closing: found.start > current.range.lowerBound ? Self.closing(text[found.start - 1]) : nil,
        endsLine: following == current.range.upperBound)
      position = following
      return uri
    }
  }

  /// The first byte after blanks and the marks of quoted mail.
  private static func start(of line: TextLine, in text: Span<UInt8>) -> Int {
    line.range.first { !text[$0].isBlank && text[$0] != UInt8(ascii: ">") && text[$0] != UInt8(ascii: "\r") }
      ?? line.range.upperBound
  }

  /// `end` is the end of `://`, which JSON and URLs may escape.
  private static func find(
    in text: Span<UInt8>, _ line: Range<Int>, from start: Int
  ) -> (scheme: URIScheme, start: Int, end: Int, isEncoded: Bool)? {
    for index in start..<Swift.max(start, line.upperBound) {
      // Few letters begin a scheme.
      guard "omspdta".utf8.contains(text[index].lowercased) else { continue }
      let rest = text.slice(from: index, to: line.upperBound)
      for scheme in URIScheme.allCases where rest.begins(with: scheme.rawValue) {
        let name = scheme.rawValue.utf8.count
        for (mark, isEncoded) in [("://", false), (":\\/\\/", false), ("%3a%2f%2f", true), (":%2f%2f", true)] {
          let end = index + name + mark.utf8.count
          guard rest.slice(from: name).begins(with: mark), scheme.isUsable(before: text.slice(from: end), index, text)
          else { continue }
          return (scheme, index, end, isEncoded)
        }
      }
    }
    return nil
  }

  private static func closing(_ opening: UInt8) -> UInt8? {
    switch opening {
    case UInt8(ascii: "'"): UInt8(ascii: "'")
    case UInt8(ascii: "("): UInt8(ascii: ")")
    case UInt8(ascii: "["): UInt8(ascii: "]")
    case UInt8(ascii: "{"): UInt8(ascii: "}")
    default: nil
    }
  }
}

extension URIScheme {
  /// Other words may end like a short scheme, and `steam://` also starts games.
  fileprivate func isUsable(before rest: Span<UInt8>, _ start: Int, _ text: Span<UInt8>) -> Bool {
    switch self {
    case .otpauth, .migration: return true
    case .steam:
      let key = rest.indices.prefix { rest[$0].lowercased != rest[$0] || rest[$0].decimalDigit != nil }
      return key.count >= 16
    default: return start == 0 || !text[start - 1].isWordCharacter
    }
  }
}

/// A URI with the rest of its line, or up to the next URI.
struct FoundURI {
  let scheme: URIScheme
  /// Counted from 1.
  let line: Int
  let range: Range<Int>
  /// After `://`.
  let rest: Int
  /// Whether the URI is a value in another URL, and percent-encoded.
  let isEncoded: Bool
  /// Whether only blanks and marks of quoted mail precede it.
  let beginsLine: Bool
  /// The character that ends it, if it is in brackets or quotes.
  let closing: UInt8?
  let endsLine: Bool

  /// The URI alone, without the escapes of HTML, JSON and shells.
  func text(in text: Span<UInt8>) throws(FormatProblem) -> SecretBuffer {
    guard var plain = SecretBuffer(capacity: range.count + 3) else { throw .outOfMemory }
    _ = plain.append(scheme.rawValue.utf8.span)
    _ = plain.append("://")
    let isWhole = unescape(text.slice(from: rest, to: range.upperBound), into: &plain)
    let piece = plain.bytes
    if isWhole, endsLine, text.slice(from: range.upperBound).continues(piece) {
      throw FormatProblem(
        "the URI continues in the next line",
        hint: "join the two lines in a copy of the text, or separate them by an empty line")
    }
    let isEncoded = isEncoded || piece.firstIndex(of: UInt8(ascii: "?")) == nil && piece.encodedQuery != nil
    let end = isEncoded ? piece.firstIndex { $0 == UInt8(ascii: "&") || $0.isBlank } ?? piece.count : try end(of: piece)
    guard var uri = SecretBuffer(capacity: end) else { throw .outOfMemory }
    if isEncoded {
      PercentEncoding.decode(piece.slice(from: 0, to: end)) { _ = uri.append($0) }
    } else {
      _ = uri.append(piece.slice(from: 0, to: end))
    }
    return uri
  }

  /// Returns false if it stopped at a character that no URI contains.
  private func unescape(_ piece: Span<UInt8>, into output: inout SecretBuffer) -> Bool {
    var index = 0
    while index < piece.count {
      let byte = piece[index]
      if byte == closing || byte < 0x20 || byte == 0x7F || "\"<>`".utf8.contains(byte) { return false }
      guard byte == UInt8(ascii: "&") || byte == UInt8(ascii: "\\"),
        let escape = byte == UInt8(ascii: "&") ? piece.entity(at: index) : piece.backslash(at: index)
      else {
        _ = output.append(byte)
        index += 1
        continue
      }
      guard let value = escape.byte else { return false }
      _ = output.append(value)
      index += escape.length
    }
    return true
  }

  /// The index at which text after the URI begins. Some programs do not encode blanks in names.
  private func end(of piece: Span<UInt8>) throws(FormatProblem) -> Int {
    guard let query = piece.firstIndex(of: UInt8(ascii: "?")) else {
      return piece.trimmed(to: beginsLine ? piece.count : piece.firstIndex(where: \.isBlank) ?? piece.count)
    }
    var start = query + 1
    while true {
      let end = piece.firstIndex(of: UInt8(ascii: "&"), from: start) ?? piece.count
      let equals = piece.slice(from: start, to: end).firstIndex(of: UInt8(ascii: "=")).map { start + $0 } ?? end
      let name = piece.slice(from: start, to: equals).name
      let value = Swift.min(equals + 1, end)
      let blank = (value..<end).first { piece[$0].isBlank }
      if end < piece.count {
        let following = piece.slice(from: end + 1).name
        if let blank, !URIParameter.understood.contains(following), !URIParameter.harmless.contains(following) {
          return try cut(piece, at: blank)
        }
        start = end + 1
        continue
      }
      switch name {
      case "secret":
        let stop = (value..<end).first { piece[$0].isBlank || piece[$0] == UInt8(ascii: ",") }
        if let stop, stop == blank, piece.slice(from: stop).continuesKey(piece.slice(from: value, to: stop)) {
          throw FormatProblem("the key contains a blank", hint: "remove the blanks of the key in a copy of the text")
        }
        return try cut(piece, at: stop)
      case "algorithm", "digits", "period", "counter":
        return try cut(piece, at: (value..<end).first { piece[$0].isBlank || piece[$0] == UInt8(ascii: ",") })
      case "data" where beginsLine && (value..<end).allSatisfy({ piece[$0].isBlank || piece[$0].isInBase64 }):
        return piece.trimmed(to: end)
      default:
        if beginsLine, closing == nil { return piece.trimmed(to: end, keepsPunctuation: true) }
        return try cut(piece, at: blank)
      }
    }
  }

  private func cut(_ piece: Span<UInt8>, at end: Int?) throws(FormatProblem) -> Int {
    guard let end else { return piece.trimmed(to: piece.count) }
    guard !piece.slice(from: end).containsCodeParameter else {
      throw FormatProblem("text between the parameters of the URI", hint: "remove it in a copy of the text")
    }
    return piece.trimmed(to: end)
  }
}

enum PercentEncoding {
  /// Decodes RFC 3986 section 2.1. Passes invalid escapes on as they are, and returns false then.
  @discardableResult
  static func decode(_ text: Span<UInt8>, plusIsBlank: Bool = false, _ take: (UInt8) -> Void) -> Bool {
    var isValid = true
    var index = 0
    while index < text.count {
      let byte = text[index]
      if byte == UInt8(ascii: "%") {
        if index + 2 < text.count, let high = text[index + 1].lowercased.hexDigit,
          let low = text[index + 2].lowercased.hexDigit
        {
          take(high << 4 | low)
          index += 3
          continue
        }
        isValid = false
      }
      take(byte == UInt8(ascii: "+") && plusIsBlank ? UInt8(ascii: " ") : byte)
      index += 1
    }
    return isValid
  }
}

extension UInt8 {
  fileprivate var isWordCharacter: Bool {
    decimalDigit != nil || lowercased >= UInt8(ascii: "a") && lowercased <= UInt8(ascii: "z")
  }

  /// In a percent-encoded value.
  fileprivate var isInBase64: Bool {
    Base64.value(of: self) != nil || self == UInt8(ascii: "=") || self == UInt8(ascii: "%")
  }
}

extension Span where Element == UInt8 {
  fileprivate func firstIndex(where isWanted: (UInt8) -> Bool) -> Int? { indices.first { isWanted(self[$0]) } }

  /// The line of zbarimg(1) without `--raw`.
  fileprivate func isQRCode(_ start: Int) -> Bool { slice(from: start).begins(with: "qr-code:") }

  /// The index of an encoded `?`.
  fileprivate var encodedQuery: Int? { indices.first { slice(from: $0).begins(with: "%3f") } }

  /// Whether the rest of the text, from the end of a line, begins with a parameter, or with the rest of a URI's key.
  fileprivate func continues(_ uri: Span<UInt8>) -> Bool {
    guard let end = firstIndex(of: UInt8(ascii: "\n")) else { return false }
    let text = slice(from: end + 1, to: firstIndex(of: UInt8(ascii: "\n"), from: end + 1) ?? count)
    guard
      let first = text.firstIndex(where: { !$0.isBlank && $0 != UInt8(ascii: ">") && $0 != UInt8(ascii: "\r") }),
      text.firstIndex(of: UInt8(ascii: ":")) == nil
    else { return false }
    let line = text.slice(from: first, to: text.trimmed(to: text.count))
    let ampersand = line.firstIndex(of: UInt8(ascii: "&"))
    if let ampersand, ampersand == 0 || line.slice(from: ampersand).containsCodeParameter { return true }
    let start = uri.indices.last { uri[$0] == UInt8(ascii: "?") || uri[$0] == UInt8(ascii: "&") } ?? 0
    let key = uri.slice(from: start + 1)
    return ampersand == nil && key.begins(with: "secret=") && line.firstIndex(where: \.isBlank) == nil
      && line.continuesKey(key.slice(from: 7))
  }

  /// The name of a parameter that begins here, in lower case; empty if it is too long to be known.
  fileprivate var name: String {
    let end = firstIndex { $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: "&") } ?? count
    guard end <= 16 else { return "" }
    return String(decoding: (0..<end).map { self[$0].lowercased }.filter { !$0.isBlank }, as: UTF8.self)
  }

  /// Whether it contains the name of a parameter that changes codes, and `=`.
  var containsCodeParameter: Bool {
    indices.contains { index in
      self[index] == UInt8(ascii: "=")
        && URIParameter.codeParameters.contains { name in
          index >= name.utf8.count && slice(from: index - name.utf8.count).begins(with: name)
        }
    }
  }

  /// Whether the first word is Base32 in the case of the key before it.
  fileprivate func continuesKey(_ key: Span<UInt8>) -> Bool {
    guard let start = firstIndex(where: { !$0.isBlank }) else { return false }
    let end = (start..<count).first { self[$0].isBlank } ?? count
    func isUpper(_ byte: UInt8) -> Bool { byte.lowercased != byte }
    func isLower(_ byte: UInt8) -> Bool { !isUpper(byte) && byte.isWordCharacter && byte.decimalDigit == nil }
    let hasUpper = key.firstIndex(where: isUpper) != nil
    let hasLower = key.firstIndex(where: isLower) != nil
    return (start..<end).allSatisfy { index in
      let byte = self[index]
      return byte == UInt8(ascii: "=")
        || byte.isWordCharacter && !"0189".utf8.contains(byte)
          && (hasUpper || !isUpper(byte)) && (hasLower || !isLower(byte))
    }
  }

  /// The end without trailing blanks and the punctuation of a sentence.
  fileprivate func trimmed(to end: Int, keepsPunctuation: Bool = false) -> Int {
    var end = end
    while end > 0,
      self[end - 1].isBlank || self[end - 1] == UInt8(ascii: "\r")
        || !keepsPunctuation && ".,;:!?)]}'*|\\".utf8.contains(self[end - 1])
    {
      end -= 1
    }
    return end
  }

  /// Before one character: JSON in four levels.
  private static var mostBackslashes: Int { 15 }

  /// The character reference of HTML at an ampersand; nil if it is none. Its byte is nil if it ends a URI.
  fileprivate func entity(at start: Int) -> (byte: UInt8?, length: Int)? {
    // A hostile line can have millions of ampersands and no semicolon.
    let near = slice(from: start, to: start + 9)
    guard let end = near.firstIndex(of: UInt8(ascii: ";")).map({ start + $0 }), end > start + 2 else { return nil }
    let name = String(decoding: (start + 1..<end).map { self[$0].lowercased }, as: UTF8.self)
    let length = end + 1 - start
    switch name {
    case "amp", "#38", "#x26":
      // Escaped twice, an ampersand is `&amp;amp;`.
      let again = slice(from: end + 1)
      return (UInt8(ascii: "&"), again.begins(with: "amp;") ? length + 4 : length)
    case "apos": return (UInt8(ascii: "'"), length)
    case "quot", "lt", "gt", "nbsp": return (nil, length)
    case "equals": return (UInt8(ascii: "="), length)
    case "sol": return (UInt8(ascii: "/"), length)
    case "colon": return (UInt8(ascii: ":"), length)
    case "quest": return (UInt8(ascii: "?"), length)
    case "percnt": return (UInt8(ascii: "%"), length)
    case "plus": return (UInt8(ascii: "+"), length)
    default:
      let digits = name.dropFirst()
      guard name.first == "#",
        let value = digits.first == "x" ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
      else { return nil }
      return (Self.escaped(value), length)
    }
  }

  /// The character that a backslash of JSON or of a shell escapes; nil if none. Its byte is nil if it ends a URI.
  fileprivate func backslash(at start: Int) -> (byte: UInt8?, length: Int)? {
    // JSON inside JSON doubles backslashes.
    let near = start..<Swift.min(start + Self.mostBackslashes + 1, count)
    guard let next = near.first(where: { self[$0] != UInt8(ascii: "\\") }) else { return (nil, 1) }
    if self[next].lowercased == UInt8(ascii: "u"), next + 4 < count {
      let digits = (next + 1..<next + 5).compactMap { self[$0].lowercased.hexDigit }
      guard digits.count == 4 else { return nil }
      return (Self.escaped(digits.reduce(0) { $0 << 4 | UInt32($1) }), next + 5 - start)
    }
    if "\"nrt".utf8.contains(self[next]) { return (nil, next + 1 - start) }
    guard "/?&=%#:+-.,@ ".utf8.contains(self[next]) else { return nil }
    return (self[next], next + 1 - start)
  }

  /// Replaces characters other than ASCII, which names may contain.
  private static func escaped(_ value: UInt32) -> UInt8? {
    guard value < 0x80 else { return UInt8(ascii: "_") }
    let byte = UInt8(value)
    return byte < 0x20 || byte == 0x7F || "\"<>`".utf8.contains(byte) ? nil : byte
  }
}
