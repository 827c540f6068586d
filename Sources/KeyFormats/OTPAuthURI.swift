import Enrollment
import FixedMemory
import OneTimePassword

package struct OTPAuthURI {
  package let device: DeviceDraft
  /// The ignored parameters, if their names are safe to show.
  package let otherParameters: [String]
  /// Whether an HOTP URI lacks the counter, as google-authenticator's do; it is then 0.
  package let lacksCounter: Bool

  /// Parses a URI (Key URI Format of Google Authenticator) leniently: names in any case, parameters in any order, a key
  /// with blanks and padding, the issuer in the label or a parameter.
  package init(parsing text: Span<UInt8>) throws(FormatProblem) {
    var parser = OTPAuthURIParser()
    try parser.parse(text)
    self = try parser.result()
  }

  fileprivate init(device: DeviceDraft, otherParameters: [String], lacksCounter: Bool) {
    self.device = device
    self.otherParameters = otherParameters
    self.lacksCounter = lacksCounter
  }

  /// The URIs of the text, one a line. Skips empty lines and comments.
  package static func entries(of text: Span<UInt8>) throws(FormatProblem) -> [KeyEntry] {
    var lines = TextLines()
    var entries: [KeyEntry] = []
    while let line = lines.next(in: text) {
      let words = line.words(in: text)
      // The URI extends to the last word, because some programs do not encode blanks.
      guard let first = words.first, let last = words.last, text[first.lowerBound] != UInt8(ascii: "#") else {
        continue
      }
      do throws(FormatProblem) {
        let uri = try OTPAuthURI(parsing: text.slice(from: first.lowerBound, to: last.upperBound))
        var entry = KeyEntry(.success(uri.device), line: line.number)
        if uri.lacksCounter { entry.remarks.append("The URI has no counter; the counter starts at 0") }
        if !uri.otherParameters.isEmpty {
          entry.remarks.append("\(uri.otherParameters.joined(separator: ", ")): unknown, ignored")
        }
        entries.append(entry)
      } catch {
        entries.append(
          KeyEntry(.failure(FormatProblem(line: line.number, error.message, hint: error.hint)), line: line.number))
      }
    }
    guard !entries.isEmpty else { throw FormatProblem("it contains no URI") }
    return entries
  }

  /// Whether the text is valid as issuer or account label. A colon would separate the two.
  package static func isValidLabelPart(_ text: String) -> Bool {
    // Compare bytes: as Characters, a colon with a combining accent is no colon.
    let blank = UInt8(ascii: " ")
    return text.isOneLine(upTo: 128) && !text.utf8.contains(UInt8(ascii: ":")) && text.utf8.first != blank
      && text.utf8.last != blank
  }

  /// Removes colons and escapes the text. Returns `twofactor` if the result is still invalid.
  package static func labelPart(_ text: String) -> String {
    let kept = String(String.UnicodeScalarView(text.printable.unicodeScalars.filter { $0 != ":" }))
    return isValidLabelPart(kept) ? kept : "twofactor"
  }
}

private struct OTPAuthURIParser {
  var isCounter = false
  var label: [UInt8] = []
  var key: SharedKey?
  var issuer: String?
  var algorithm = HashAlgorithm.sha1
  var digits = CodeDigits.six
  var period = DeviceDraft.defaultPeriod
  var counter: UInt64?
  var seen: Set<String> = []
  var otherParameters: [String] = []

  mutating func parse(_ text: Span<UInt8>) throws(FormatProblem) {
    let end = text.firstIndex(of: UInt8(ascii: "#")) ?? text.count
    let query = text.firstIndex(of: UInt8(ascii: "?")) ?? end
    let head = text.slice(from: 0, to: Swift.min(query, end))
    let scheme = Array("otpauth://".utf8)
    guard head.count > scheme.count, Self.lowered(head.slice(from: 0, to: scheme.count)) == scheme else {
      throw Self.notURI(head)
    }
    let slash = head.firstIndex(of: UInt8(ascii: "/"), from: scheme.count) ?? head.count
    switch String(decoding: Self.lowered(head.slice(from: scheme.count, to: slash)), as: UTF8.self) {
    case "totp": isCounter = false
    case "hotp": isCounter = true
    default: throw FormatProblem("the URI must begin with otpauth://totp/ or otpauth://hotp/")
    }
    label = try Self.decoded(head.slice(from: slash + 1), plusIsBlank: false)
    var start = query + 1
    while start < end {
      let next = Swift.min(text.firstIndex(of: UInt8(ascii: "&"), from: start) ?? end, end)
      try parseParameter(text.slice(from: start, to: next))
      start = next + 1
    }
  }

  private static func notURI(_ head: Span<UInt8>) -> FormatProblem {
    let export = Array("otpauth-migration:".utf8)
    guard head.count >= export.count, lowered(head.slice(from: 0, to: export.count)) == export else {
      return FormatProblem("it is not an otpauth URI")
    }
    return FormatProblem(
      "exports of several accounts are not supported", hint: "export the account alone, as an otpauth:// URI")
  }

  private mutating func parseParameter(_ text: Span<UInt8>) throws(FormatProblem) {
    guard text.count > 0 else { return }
    let equals = text.firstIndex(of: UInt8(ascii: "=")) ?? text.count
    let name = String(decoding: Self.lowered(text.slice(from: 0, to: equals)), as: UTF8.self)
    let raw = text.slice(from: equals + 1)
    guard ["secret", "issuer", "algorithm", "digits", "period", "counter"].contains(name) else {
      let isPlain = (1...32).contains(name.utf8.count) && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
      if isPlain, !otherParameters.contains(name) { otherParameters.append(name) }
      return
    }
    guard seen.insert(name).inserted else { throw FormatProblem("the parameter \(name) is repeated") }
    if name == "secret" { return key = try Self.key(raw) }
    let bytes = try Self.decoded(raw, plusIsBlank: name == "issuer")
    guard let value = String(validating: bytes, as: UTF8.self) else {
      throw FormatProblem("the parameter \(name) is not UTF-8")
    }
    switch name {
    case "issuer": issuer = value
    case "algorithm": algorithm = try Self.algorithm(value)
    case "digits": digits = try Self.digits(value)
    case "period":
      // Some programs write a period for HOTP.
      guard !isCounter else { return }
      guard let seconds = Int64(value), TimeStep.periods.contains(seconds) else {
        throw FormatProblem("the period must be 15 to 300 seconds")
      }
      period = seconds
    default:
      guard isCounter else { return }
      guard let number = UInt64(value), number <= LoginState.highestCounter else {
        throw .counterOutOfRange
      }
      counter = number
    }
  }

  private static func key(_ raw: Span<UInt8>) throws(FormatProblem) -> SharedKey {
    guard var plain = SecretBuffer(capacity: raw.count) else { throw .outOfMemory }
    try decode(raw, plusIsBlank: true) { _ = plain.append($0) }
    return try SharedKey(base32: plain.bytes)
  }

  private static func algorithm(_ value: String) throws(FormatProblem) -> HashAlgorithm {
    // Some apps write HmacSHA1 or SHA-1.
    var name = value.uppercased().filter { $0 != "-" }
    if name.hasPrefix("HMAC") { name.removeFirst(4) }
    switch name {
    case "SHA1": return .sha1
    case "SHA256": return .sha256
    case "SHA512": return .sha512
    default: throw FormatProblem("the algorithm must be SHA1, SHA256 or SHA512")
    }
  }

  private static func digits(_ value: String) throws(FormatProblem) -> CodeDigits {
    guard let digits = UInt8(value).flatMap(CodeDigits.init) else {
      throw value == "7" ? .sevenDigits : FormatProblem("the number of digits must be 6 or 8")
    }
    return digits
  }

  func result() throws(FormatProblem) -> OTPAuthURI {
    guard let key else { throw FormatProblem("the URI has no secret") }
    var device = DeviceDraft(
      key: key, kind: isCounter ? .hotp(counter: counter ?? 0) : .totp(period: period), algorithm: algorithm,
      digits: digits)
    var parts: [String] = []
    for part in label.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false) {
      guard let text = String(validating: part, as: UTF8.self) else { throw FormatProblem("the label is not UTF-8") }
      parts.append(text)
    }
    device.account = parts.last.flatMap(Self.labelPart)
    device.issuer = issuer.flatMap(Self.labelPart) ?? (parts.count > 1 ? Self.labelPart(parts[0]) : nil)
    return OTPAuthURI(
      device: device, otherParameters: otherParameters, lacksCounter: isCounter && counter == nil)
  }

  /// Trims blanks; nil if ``OTPAuthURI/isValidLabelPart(_:)`` rejects the rest.
  private static func labelPart(_ text: String) -> String? {
    var part = text.unicodeScalars[...]
    while part.first == " " { part.removeFirst() }
    while part.last == " " { part.removeLast() }
    let kept = String(String.UnicodeScalarView(part))
    return OTPAuthURI.isValidLabelPart(kept) ? kept : nil
  }

  /// Decodes percent-encoding (RFC 3986 section 2.1).
  private static func decoded(_ text: Span<UInt8>, plusIsBlank: Bool) throws(FormatProblem) -> [UInt8] {
    var bytes: [UInt8] = []
    try decode(text, plusIsBlank: plusIsBlank) { bytes.append($0) }
    return bytes
  }

  private static func decode(
    _ text: Span<UInt8>, plusIsBlank: Bool, _ take: (UInt8) -> Void
  ) throws(FormatProblem) {
    var index = 0
    while index < text.count {
      switch text[index] {
      case UInt8(ascii: "%"):
        let digits = lowered(text.slice(from: index + 1, to: index + 3))
        guard digits.count == 2, let high = digits[0].hexDigit, let low = digits[1].hexDigit else {
          throw FormatProblem("invalid percent-encoding")
        }
        take(high << 4 | low)
        index += 3
      case UInt8(ascii: "+") where plusIsBlank:
        take(UInt8(ascii: " "))
        index += 1
      case let byte:
        take(byte)
        index += 1
      }
    }
  }

  private static func lowered(_ text: Span<UInt8>) -> [UInt8] { text.indices.map { text[$0].lowercased } }
}
