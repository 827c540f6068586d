import Enrollment
import FixedMemory
import OneTimePassword

package struct OTPAuthURI {
  package let device: DeviceDraft
  /// The parameters that only change how an app shows the account.
  package let harmlessParameters: [String]
  /// The unknown parameters, which are ignored, if their names are safe to show.
  package let otherParameters: [String]
  private let hasNamelessParameter: Bool
  /// Whether an HOTP URI lacks the counter, as google-authenticator's do; it is then 0.
  package let lacksCounter: Bool

  /// Parses a URI (Key URI Format of Google Authenticator) leniently: names in any case, parameters in any order, a key
  /// with blanks and padding, the issuer in the label or a parameter.
  package init(parsing text: Span<UInt8>) throws(FormatProblem) {
    var parser = OTPAuthURIParser()
    try parser.parse(text)
    self = try parser.result()
  }

  fileprivate init(_ device: DeviceDraft, _ parser: OTPAuthURIParser) {
    self.device = device
    harmlessParameters = parser.harmlessParameters
    otherParameters = parser.otherParameters.compactMap(\.self)
    hasNamelessParameter = parser.otherParameters.contains(nil)
    lacksCounter = parser.isCounter && parser.counter == nil
  }

  /// What was left out, in sentences without full stop.
  var remarks: [String] {
    var remarks: [String] = []
    if lacksCounter { remarks.append("The URI has no counter; the counter starts at 0") }
    if !harmlessParameters.isEmpty {
      remarks.append("\(harmlessParameters.joined(separator: ", ")): only for the app, left out")
    }
    if !otherParameters.isEmpty { remarks.append("\(otherParameters.joined(separator: ", ")): unknown, ignored") }
    if hasNamelessParameter { remarks.append("A parameter with an unusual name is ignored") }
    return remarks
  }
}

extension OTPAuthURI {
  static let mostAccounts = 10_000
  static let tooMany = FormatProblem("it contains more than \(mostAccounts) accounts")

  /// On missing QR codes.
  private static let mostRemarks = 10

  /// Nil if the text contains no URI of an app for one-time codes.
  static func firstScheme(in text: Span<UInt8>) -> URIScheme? {
    var uris = URIsInText()
    return uris.next(in: text)?.scheme
  }

  /// The accounts of the URIs in the text, of exports too. Identical ones count once.
  package static func entries(of text: Span<UInt8>) throws(FormatProblem) -> [KeyEntry] {
    var uris = URIsInText()
    var entries: [KeyEntry] = []
    var batches: [UInt64: [MigrationExport.Batch]] = [:]
    var entriesOfBatch: [UInt64: [Int]] = [:]
    var known: [Int: [Int]] = [:]
    while let uri = uris.next(in: text) {
      guard entries.count < mostAccounts else { throw tooMany }
      do throws(FormatProblem) {
        if let problem = uri.scheme.problem { throw problem }
        let plain = try uri.text(in: text)
        guard uri.scheme == .migration else {
          append(entry(plain.bytes, isMail: { text.containsQuotedPrintable }), uri.line, to: &entries, &known)
          continue
        }
        let export = try MigrationExport(parsing: plain.bytes)
        batches[export.batch.identifier, default: []].append(export.batch)
        for entry in export.entries {
          if append(entry, uri.line, to: &entries, &known) {
            entriesOfBatch[export.batch.identifier, default: []].append(entries.count - 1)
          }
        }
      } catch {
        entries.append(KeyEntry(.failure(error.at(uri.line)), line: uri.line))
      }
    }
    for (identifier, batch) in batches {
      for number in MigrationExport.missing(batch).prefix(mostRemarks) {
        let remark = "QR code \(number) of \(batch.map(\.size).max() ?? 0) of the export is missing"
        for entry in entriesOfBatch[identifier] ?? [] { entries[entry].remarks.append(remark) }
      }
    }
    guard !entries.isEmpty else {
      guard batches.isEmpty else { throw FormatProblem("the export contains no accounts") }
      throw FormatProblem(
        "it contains no otpauth URI", hint: "such a URI begins with otpauth://totp/ or otpauth://hotp/")
    }
    return entries
  }

  private static func entry(_ text: Span<UInt8>, isMail: () -> Bool) -> KeyEntry {
    var parser = OTPAuthURIParser()
    do throws(FormatProblem) {
      try parser.parse(text, isMail: isMail)
      let uri = try parser.result()
      var entry = KeyEntry(.success(uri.device))
      entry.remarks = uri.remarks
      return entry
    } catch {
      var entry = KeyEntry(.failure(error))
      (entry.issuer, entry.account) = (parser.issuer ?? parser.labels.issuer, parser.labels.account)
      return entry
    }
  }

  /// Returns false if the entries already contain the device: a page can contain a URI as text and as link.
  @discardableResult
  private static func append(
    _ entry: KeyEntry, _ line: Int, to entries: inout [KeyEntry], _ known: inout [Int: [Int]]
  ) -> Bool {
    var entry = entry
    entry.line = line
    switch entry.device {
    case .failure(let problem): entry.device = .failure(problem.at(line))
    case .success(let device):
      var hasher = Hasher()
      device.key.withBytes { bytes in for index in bytes.indices { hasher.combine(bytes[index]) } }
      let hash = hasher.finalize()
      let isKnown = known[hash, default: []].contains { index in
        guard case .success(let other) = entries[index].device else { return false }
        return other.key.isEqual(to: device.key) && other.kind == device.kind && other.digits == device.digits
          && other.algorithm == device.algorithm && other.issuer == device.issuer && other.account == device.account
      }
      guard !isKnown else { return false }
      known[hash, default: []].append(entries.count)
    }
    entries.append(entry)
    return true
  }
}

extension OTPAuthURI {
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
  var labels: (issuer: String?, account: String?) = (nil, nil)
  var key: SharedKey?
  var issuer: String?
  var algorithm = HashAlgorithm.sha1
  var digits = CodeDigits.six
  var period = DeviceDraft.defaultPeriod
  var counter: UInt64?
  var seen: Set<String> = []
  var harmlessParameters: [String] = []
  /// Nil stands for those whose names are not safe to show.
  var otherParameters: [String?] = []
  /// Further ones have no remark.
  private static let mostOthers = 32

  /// `isMail` returns whether the text around the URI is a mail in the encoding quoted-printable.
  mutating func parse(_ text: Span<UInt8>, isMail: () -> Bool = { false }) throws(FormatProblem) {
    let scheme = "otpauth://"
    guard text.begins(with: scheme), text.count > scheme.utf8.count else {
      throw FormatProblem("it is not an otpauth URI")
    }
    let query = text.firstIndex(of: UInt8(ascii: "?")) ?? text.count
    let head = text.slice(from: 0, to: query)
    let slash = head.firstIndex(of: UInt8(ascii: "/"), from: scheme.utf8.count) ?? head.count
    try parseLabel(head.slice(from: slash + 1))
    let type = head.slice(from: scheme.utf8.count, to: slash).loweredText
    guard type == "totp" || type == "hotp" else {
      throw URIScheme.problem(ofType: type)
        ?? FormatProblem("the URI must begin with otpauth://totp/ or otpauth://hotp/")
    }
    isCounter = type == "hotp"

    // A `#` in a name is not a fragment.
    let end = text.firstIndex(of: UInt8(ascii: "#"), from: query) ?? text.count
    let fragment = text.slice(from: end)
    guard !fragment.containsCodeParameter, fragment.firstIndex(of: UInt8(ascii: "&")) == nil else {
      throw FormatProblem("the URI has parameters after a #", hint: "write %23 for # in a copy of the URI")
    }
    try parseQuery(text.slice(from: query + 1, to: end), isMail)
  }

  /// The label is only for people, so every encoding is accepted.
  private mutating func parseLabel(_ text: Span<UInt8>) throws(FormatProblem) {
    try Self.requireSingle(text, "label")
    var bytes: [UInt8] = []
    PercentEncoding.decode(text) { bytes.append($0) }
    labels = OTPAuthURI.labels(of: String(label: bytes))
  }

  private mutating func parseQuery(_ query: Span<UInt8>, _ isMail: () -> Bool) throws(FormatProblem) {
    var parameters: [Range<Int>] = []
    var start = 0
    while start < query.count {
      let end = query.firstIndex(of: UInt8(ascii: "&"), from: start) ?? query.count
      if start < end { parameters.append(start..<end) }
      start = end + 1
    }
    let encoded = parameters.filter { range in
      let parameter = query.slice(range)
      let equals = parameter.firstIndex(of: UInt8(ascii: "=")) ?? parameter.count
      return parameter.slice(from: equals + 1).begins(with: "3d")
    }
    guard encoded.isEmpty || encoded.count < parameters.count || parameters.count == 1 && !isMail() else {
      throw FormatProblem(
        "the URI is from a mail in the encoding quoted-printable", hint: "copy it from the mail program's window")
    }
    for parameter in parameters { try parseParameter(query.slice(parameter)) }
  }

  private mutating func parseParameter(_ text: Span<UInt8>) throws(FormatProblem) {
    let equals = text.firstIndex(of: UInt8(ascii: "=")) ?? text.count
    var nameBytes: [UInt8] = []
    PercentEncoding.decode(text.slice(from: 0, to: equals), plusIsBlank: true) { nameBytes.append($0.lowercased) }
    let name = String(decoding: nameBytes.filter { !$0.isBlank }, as: UTF8.self)
    let raw = text.slice(from: equals + 1)
    guard URIParameter.understood.contains(name) else { return try parseOther(name, raw) }
    try Self.requireSingle(raw, name)
    guard seen.insert(name).inserted else { throw FormatProblem("the parameter \(name) is repeated") }
    if name == "secret" { return key = try Self.key(raw) }
    var bytes: [UInt8] = []
    let isValid = PercentEncoding.decode(raw, plusIsBlank: name == "issuer") { bytes.append($0) }
    if name == "issuer" { return issuer = String(label: bytes).trimmedLabelPart }
    guard isValid else { throw FormatProblem("invalid percent-encoding of the parameter \(name)") }
    guard let value = String(validating: bytes, as: UTF8.self) else {
      throw FormatProblem("the parameter \(name) is not UTF-8")
    }
    switch name {
    case "algorithm": algorithm = try Self.algorithm(value)
    case "digits": digits = try Self.digits(value)
    case "period":
      // Some programs write a period for HOTP.
      guard !isCounter else { return }
      guard let seconds = Self.number(value), TimeStep.periods.contains(Int64(clamping: seconds)) else {
        throw FormatProblem("the period must be 15 to 300 seconds")
      }
      period = Int64(clamping: seconds)
    default:
      guard isCounter else { return }
      guard let number = Self.number(value), number <= LoginState.highestCounter else { throw .counterOutOfRange }
      counter = number
    }
  }

  private mutating func parseOther(_ name: String, _ raw: Span<UInt8>) throws(FormatProblem) {
    var bytes: [UInt8] = []
    PercentEncoding.decode(raw) { bytes.append($0) }
    try Self.requireSingle(raw, nil)
    if URIParameter.harmless.contains(name) {
      if !harmlessParameters.contains(name) { harmlessParameters.append(name) }
      return
    }
    let value = String(decoding: bytes.prefix(64), as: UTF8.self)
    if let problem = URIParameter.problem(name, value: value, isCounter: isCounter) { throw problem }
    guard !name.isEmpty else { return }
    let shown = URIParameter.isShowable(name) ? name : nil
    if otherParameters.count < Self.mostOthers, !otherParameters.contains(shown) { otherParameters.append(shown) }
  }

  /// Rejects a value that contains another parameter, which would be lost.
  private static func requireSingle(_ value: Span<UInt8>, _ name: String?) throws(FormatProblem) {
    guard value.containsCodeParameter else { return }
    throw FormatProblem(
      "the URI has parameters inside the \(name.map { $0 == "label" ? $0 : "parameter \($0)" } ?? "value of another")")
  }

  private static func key(_ raw: Span<UInt8>) throws(FormatProblem) -> SharedKey {
    guard var plain = SecretBuffer(capacity: raw.count) else { throw .outOfMemory }
    guard PercentEncoding.decode(raw, plusIsBlank: true, { _ = plain.append($0) }) else {
      throw FormatProblem("invalid percent-encoding of the parameter secret")
    }
    return try SharedKey(base32: plain.bytes)
  }

  /// Some programs write a number with a decimal point.
  private static func number(_ value: String) -> UInt64? {
    let parts = value.utf8.split(separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
    guard let whole = parts.first, whole.allSatisfy({ $0.decimalDigit != nil }),
      parts.dropFirst().allSatisfy({ $0.allSatisfy { $0 == UInt8(ascii: "0") } })
    else { return nil }
    return UInt64(String(whole) ?? "")
  }

  private static func algorithm(_ value: String) throws(FormatProblem) -> HashAlgorithm {
    // Some apps write HmacSHA1 or SHA-1.
    var name = value.uppercased().filter { !"-_ ".contains($0) }
    if name.hasPrefix("HMAC") { name.removeFirst(4) }
    switch name {
    case "SHA1": return .sha1
    case "SHA256": return .sha256
    case "SHA512": return .sha512
    case "MD5", "SHA224", "SHA384", "SHA3256", "SHA3512", "SM3", "RIPEMD160", "WHIRLPOOL", "STREEBOG":
      throw FormatProblem("the algorithm \(name) is not supported, only SHA1, SHA256 and SHA512")
    default: throw FormatProblem("the algorithm must be SHA1, SHA256 or SHA512")
    }
  }

  private static func digits(_ value: String) throws(FormatProblem) -> CodeDigits {
    let number = number(value)
    guard let digits = number.flatMap({ UInt8(exactly: $0) }).flatMap(CodeDigits.init) else {
      throw number == 7 ? .sevenDigits : FormatProblem("the number of digits must be 6 or 8")
    }
    return digits
  }

  func result() throws(FormatProblem) -> OTPAuthURI {
    guard let key else { throw FormatProblem("the URI has no secret") }
    var device = DeviceDraft(
      key: key, kind: isCounter ? .hotp(counter: counter ?? 0) : .totp(period: period), algorithm: algorithm,
      digits: digits)
    device.account = labels.account
    device.issuer = issuer ?? labels.issuer
    // Apps take this issuer for Steam Guard if the URI does not say otherwise.
    guard device.issuer != "Steam" || seen.contains("digits") else { throw .steam }
    return OTPAuthURI(device, self)
  }
}

extension OTPAuthURI {
  /// Splits a label at its colon.
  static func labels(of label: String) -> (issuer: String?, account: String?) {
    // Compare bytes: as Characters, a colon with a combining accent is no colon.
    let bytes = Array(label.utf8)
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return (nil, label.trimmedLabelPart) }
    return (
      String(decoding: bytes[..<colon], as: UTF8.self).trimmedLabelPart,
      String(decoding: bytes[(colon + 1)...], as: UTF8.self).trimmedLabelPart
    )
  }
}

extension String {
  /// Text in UTF-8 or else Latin-1.
  init(label bytes: [UInt8]) {
    self =
      String(validating: bytes, as: UTF8.self)
      ?? String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
  }

  /// Without blanks at its ends; nil if ``OTPAuthURI/isValidLabelPart(_:)`` rejects the rest.
  var trimmedLabelPart: String? {
    var part = unicodeScalars[...]
    while part.first == " " { part.removeFirst() }
    while part.last == " " { part.removeLast() }
    let kept = String(String.UnicodeScalarView(part))
    return OTPAuthURI.isValidLabelPart(kept) ? kept : nil
  }
}

extension Span where Element == UInt8 {
  fileprivate var loweredText: String { String(decoding: indices.map { self[$0].lowercased }, as: UTF8.self) }

  /// Whether it is a mail with the header that RFC 2045 section 6 defines.
  fileprivate var containsQuotedPrintable: Bool {
    indices.contains { slice(from: $0).begins(with: "quoted-printable") }
  }
}
