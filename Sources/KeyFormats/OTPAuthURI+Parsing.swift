import Enrollment
import FixedMemory
import OneTimePassword

/// An otpauth URI that was read: the device, and what was not understood.
package struct ParsedOTPAuthURI {
  package let device: ImportedDevice
  /// The names of parameters that say nothing here, as far as they are fit to be shown.
  package let otherParameters: [String]
  /// Whether it is that of a counter and does not say where that is, as google-authenticator writes it: it is taken to
  /// be new, and to begin at 0.
  package let lacksCounter: Bool
}

extension OTPAuthURI {
  /// Reads a URI, as the Key URI Format of Google Authenticator defines it and apps write it: names in any case,
  /// parameters in any order, the key with blanks and padding, the issuer in the label, in a parameter or in both.
  ///
  /// - Parameter text: The URI and nothing else.
  /// - Returns: What it says.
  /// - Throws: What is wrong.
  package static func parse(_ text: Span<UInt8>) throws(FormatProblem) -> ParsedOTPAuthURI {
    var parser = OTPAuthURIParser()
    try parser.parse(text)
    return try parser.result()
  }

  /// Reads URIs, one a line, with empty lines and comments between them.
  ///
  /// - Throws: What is wrong and in which line.
  package static func parse(lines text: Span<UInt8>) throws(FormatProblem) -> [ParsedOTPAuthURI] {
    var lines = TextLines()
    var uris: [ParsedOTPAuthURI] = []
    while let line = lines.next(in: text) {
      let words = line.words(in: text)
      // A blank in a label ought to be encoded, and is not by everybody.
      guard let first = words.first, let last = words.last, text[first.lowerBound] != UInt8(ascii: "#") else {
        continue
      }
      do throws(FormatProblem) {
        uris.append(try parse(text.slice(from: first.lowerBound, to: last.upperBound)))
      } catch {
        throw FormatProblem(line: line.number, error.message, hint: error.hint)
      }
    }
    guard !uris.isEmpty else { throw FormatProblem("there is no URI in it") }
    return uris
  }
}

/// What has been read of a URI so far.
private struct OTPAuthURIParser {
  var isCounter = false
  var label: [UInt8] = []
  var key: SharedKey?
  var issuer: String?
  var algorithm = HashAlgorithm.sha1
  var digits = CodeDigits.six
  var period = DeviceParameters.defaultPeriod
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
    default: throw FormatProblem("the URI is neither otpauth://totp/ nor otpauth://hotp/")
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
      "it is an app's export of several accounts", hint: "export the account alone, as an otpauth:// URI")
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
    guard seen.insert(name).inserted else { throw FormatProblem("the parameter \(name) is there twice") }
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
      // A counter has no period, whatever stands there.
      guard !isCounter else { return }
      guard let seconds = Int64(value), TimeStep.periods.contains(seconds) else {
        throw FormatProblem("the period is not 15 to 300 seconds")
      }
      period = seconds
    default:
      guard isCounter else { return }
      guard let number = UInt64(value), number <= LoginState.highestCounter else {
        throw FormatProblem("the counter is not a number that a counter can have")
      }
      counter = number
    }
  }

  private static func key(_ raw: Span<UInt8>) throws(FormatProblem) -> SharedKey {
    guard var plain = SecretBuffer(capacity: raw.count) else { throw FormatProblem("out of memory") }
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
    default: throw FormatProblem("the algorithm is none of SHA1, SHA256 and SHA512")
    }
  }

  private static func digits(_ value: String) throws(FormatProblem) -> CodeDigits {
    guard let digits = UInt8(value).flatMap(CodeDigits.init) else {
      throw FormatProblem(
        "codes of \(value == "7" ? "seven" : "so many") digits are not supported, only of six and of eight")
    }
    return digits
  }

  func result() throws(FormatProblem) -> ParsedOTPAuthURI {
    guard let key else { throw FormatProblem("the URI has no secret") }
    var device: ImportedDevice
    if isCounter {
      device = ImportedDevice(kind: .hotp(counter: counter ?? 0), algorithm: algorithm, digits: digits, key: key)
    } else {
      device = ImportedDevice(kind: .totp(period: period), algorithm: algorithm, digits: digits, key: key)
    }
    // Who asks and whose code it is, divided by the first colon.
    var parts: [String] = []
    for part in label.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false) {
      guard let text = String(validating: part, as: UTF8.self) else { throw FormatProblem("the label is not UTF-8") }
      parts.append(text)
    }
    device.account = parts.last.flatMap(Self.labelPart)
    device.issuer = issuer.flatMap(Self.labelPart) ?? (parts.count > 1 ? Self.labelPart(parts[0]) : nil)
    return ParsedOTPAuthURI(
      device: device, otherParameters: otherParameters, lacksCounter: isCounter && counter == nil)
  }

  /// A part of a label without blanks at its ends; nil where it cannot stand in a label of ours.
  private static func labelPart(_ text: String) -> String? {
    var part = text.unicodeScalars[...]
    while part.first == " " { part.removeFirst() }
    while part.last == " " { part.removeLast() }
    let kept = String(String.UnicodeScalarView(part))
    return OTPAuthURI.isValidLabelPart(kept) ? kept : nil
  }

  /// Takes percent-encoding away (RFC 3986 section 2.1).
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
          throw FormatProblem("a % is not followed by two hexadecimal digits")
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

  private static func lowered(_ text: Span<UInt8>) -> [UInt8] {
    text.indices.map { index in
      let byte = text[index]
      return byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }
  }
}
