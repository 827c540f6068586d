/// A word of a line. Brackets group blanks, and are not part of the text.
struct PAMWord: Equatable {
  let text: String
  let isBracketed: Bool
}

/// A line of a PAM file, with its continuation lines.
struct PAMStatement {
  enum Body {
    case rule(PAMRule)
    /// `auth include FILE` or `auth substack FILE`; nil if the line names no file.
    case include(target: String?, isSubstack: Bool)
    /// Debian's `@include FILE`, for all facilities.
    case includeAll(target: String?)
    /// libpam adds a module that always fails.
    case failing(PAMControl)
    /// libpam rejects the rest of the file.
    case fatal
  }

  /// The service of a line of `pam.conf`, in lower case; nil in other files.
  let service: String?
  /// Of the first line, from 1.
  let line: Int
  /// Nil for an unknown type: libpam uses the type that it is loading, or `auth`.
  let facility: PAMFacility?
  let body: Body
  /// Why libpam rejects the line; nil if it does not.
  let flaw: String?
  let text: String
}

/// A file of the PAM configuration, parsed as by libpam 1.5 (pam.conf(5)).
struct PAMFile {
  let path: String
  let statements: [PAMStatement]
  /// The line of an unterminated continuation: libpam rejects the file after ``statements``.
  let unfinishedLine: Int?
  /// A line that releases of libpam parse differently, and why.
  let ambiguity: (line: Int, words: String)?

  /// libpam 1.5 splits longer lines; 1.7 does not.
  private static let maximumLineLength = 1_022

  /// `hasServices` is true for `pam.conf`, whose lines begin with the name of a service.
  init(path: String, bytes: [UInt8], hasServices: Bool = false) {
    self.path = path
    var statements: [PAMStatement] = []
    var ambiguity: (line: Int, words: String)?
    var pending: [UInt8] = []
    var first = 0
    var number = 0
    for piece in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      number += 1
      if pending.isEmpty { first = number }
      if pending.count + piece.count > Self.maximumLineLength {
        ambiguity = ambiguity ?? (number, "is longer than 1,022 bytes")
      }
      // A NUL ends the line. A comment ends it too, with the backslash in the comment.
      let line = piece.prefix { $0 != 0 }
      let text = line.prefix { $0 != UInt8(ascii: "#") }
      if text.allSatisfy(Self.isBlank) {
        if !pending.isEmpty, piece.endIndex < bytes.endIndex {
          ambiguity = ambiguity ?? (number, "interrupts a continued line")
        }
        continue
      }
      let end = text.lastIndex { !Self.isBlank($0) } ?? text.startIndex
      if text.count == line.count, text[end] == UInt8(ascii: "\\") {
        pending += text[..<end] + [UInt8(ascii: " ")]
        continue
      }
      statements.append(Self.statement((pending + text)[...], path: path, line: first, hasService: hasServices))
      pending = []
    }
    self.statements = statements
    self.ambiguity = ambiguity
    unfinishedLine = pending.isEmpty ? nil : first
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\n")
  }

  private static func statement(
    _ bytes: ArraySlice<UInt8>, path: String, line: Int, hasService: Bool
  ) -> PAMStatement {
    var rest = bytes
    let service = hasService ? word(&rest)?.text.asciiLowercased : nil
    let text = String(decoding: rest.drop(while: isBlank), as: UTF8.self)
    func statement(_ facility: PAMFacility?, _ body: PAMStatement.Body, _ flaw: String? = nil) -> PAMStatement {
      PAMStatement(service: service, line: line, facility: facility, body: body, flaw: flaw, text: text)
    }
    guard let word = word(&rest) else {
      return statement(nil, .failing(.failing), "has no type")
    }
    var type = word.text.asciiLowercased
    let isSilent = type.hasPrefix("-")
    if isSilent { type.removeFirst() }
    if type == "@include" { return statement(nil, .includeAll(target: Self.word(&rest)?.text)) }
    let facility = PAMFacility(rawValue: type)
    let flaw = facility == nil ? "has the unknown type \"\(word.text)\"" : nil
    guard let value = Self.word(&rest) else {
      return statement(facility, .failing(.failing), flaw ?? "has no control value")
    }
    let kind = value.text.asciiLowercased
    if kind == "include" || kind == "substack" {
      let target = Self.word(&rest)?.text
      if kind == "substack", let target, isNameless(target) {
        return statement(facility, .fatal, "names no file: \(target)")
      }
      return statement(facility, .include(target: target, isSubstack: kind == "substack"), flaw)
    }
    let control = PAMControl(value)
    guard let module = Self.word(&rest) else {
      return statement(facility, .failing(control), flaw ?? "names no module")
    }
    guard !isNameless(module.text) else { return statement(facility, .fatal, "names no module: \(module.text)") }
    guard let facility else { return statement(nil, .failing(control), flaw) }
    var arguments: [String] = []
    while let word = Self.word(&rest) { arguments.append(word.text) }
    let rule = PAMRule(
      file: path, line: line, facility: facility, isSilent: isSilent, control: control, module: module.text,
      arguments: arguments)
    let isMissing = rule.hasCarriageReturn && [.bad, .die].contains(control.action(on: .moduleUnknown))
    return statement(
      facility, .rule(rule),
      control.flaw.map { "has the invalid control value \(control.text): \($0)" }
        ?? (isMissing || rule.isTwoFactor && rule.hasCarriageReturn
          ? "ends with a carriage return, so that libpam does not find the module" : nil))
  }

  /// Whether nothing or "?" remains of a path without folder and suffix.
  private static func isNameless(_ path: String) -> Bool {
    let file = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).last ?? path.utf8[...]
    let name = file.prefix(upTo: file.lastIndex(of: UInt8(ascii: ".")) ?? file.endIndex)
    return name.isEmpty || name.elementsEqual("?".utf8)
  }

  /// Removes and returns the next word; nil at the end.
  private static func word(_ rest: inout ArraySlice<UInt8>) -> PAMWord? {
    rest = rest.drop(while: isBlank)
    guard let first = rest.first else { return nil }
    guard first == UInt8(ascii: "[") else {
      let word = rest.prefix { !isBlank($0) }
      rest = rest[word.endIndex...].dropFirst()
      return PAMWord(text: String(decoding: word, as: UTF8.self), isBracketed: false)
    }
    rest = rest.dropFirst()
    var bytes: [UInt8] = []
    while let byte = rest.popFirst(), byte != UInt8(ascii: "]") {
      if byte == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "]") {
        bytes.append(UInt8(ascii: "]"))
        rest = rest.dropFirst()
      } else {
        bytes.append(byte)
      }
    }
    return PAMWord(text: String(decoding: bytes, as: UTF8.self), isBracketed: true)
  }
}
