import Enrollment
import FixedMemory
import OneTimePassword

/// An account in an app's export.
extension ParsedJSON {
  /// A text as a name for people; nil if it is empty.
  var name: String? { text?.trimmedName }

  /// The elements of an array of accounts, which must not be empty.
  static func accounts(in array: ParsedJSON?) throws(FormatProblem) -> [ParsedJSON] {
    guard let accounts = array?.elements, !accounts.isEmpty else { throw FormatProblem("it contains no accounts") }
    guard accounts.count <= OTPAuthURI.mostAccounts else { throw OTPAuthURI.tooMany }
    return accounts
  }

  /// The key in the member `secret`, in Base32.
  func base32Key() throws(FormatProblem) -> SharedKey {
    guard let secret = self["secret"], secret.isText else { throw FormatProblem("it has no key") }
    return try secret.withText { text throws(FormatProblem) in try SharedKey(base32: text) }
  }

  /// A device with the properties in this object: `digits`, `period`, `counter`, and the member named `algorithm`. An
  /// absent one is an error if `isComplete`, because the app writes them all; otherwise it has the usual default.
  func device(
    type: ParsedJSON?, algorithm: String, isComplete: Bool, key: () throws(FormatProblem) -> SharedKey
  ) throws(FormatProblem) -> DeviceDraft {
    let kind: Device.Kind
    switch type.map({ $0.text?.uppercased() ?? "" }) ?? (isComplete ? "" : "TOTP") {
    case "TOTP":
      let period = try integer("period", orElse: isComplete ? nil : DeviceDraft.defaultPeriod)
      guard TimeStep.periods.contains(period) else { throw FormatProblem("the period must be 15 to 300 seconds") }
      kind = .totp(period: period)
    case "HOTP":
      let counter = try integer("counter", orElse: isComplete ? nil : 0)
      guard let counter = UInt64(exactly: counter) else { throw .counterOutOfRange }
      kind = .hotp(counter: counter)
    case "STEAM": throw .steam
    case "MOTP": throw .mobileOTP
    case "YANDEX": throw .yandex
    default: throw FormatProblem("the type of the codes must be TOTP or HOTP")
    }
    guard self["pin"] == nil else { throw FormatProblem("codes with a PIN are not supported") }
    let known = ["type", "tokenType", algorithm, "digits", "period", "counter", "secret", "pin"]
    for name in names where !known.contains(name) && self[name] != nil {
      if let problem = URIParameter.problem(ofField: name) { throw problem }
    }
    let digits = try integer("digits", orElse: isComplete ? nil : 6)
    guard let digits = UInt8(exactly: digits).flatMap(CodeDigits.init) else {
      throw digits == 7 ? .sevenDigits : FormatProblem("the number of digits must be 6 or 8")
    }
    let hash = try hashAlgorithm(algorithm, orElse: isComplete ? nil : .sha1)
    return DeviceDraft(key: try key(), kind: kind, algorithm: hash, digits: digits)
  }

  private func integer(_ name: String, orElse standard: Int64?) throws(FormatProblem) -> Int64 {
    guard let member = self[name] else {
      guard let standard else { throw FormatProblem("the field \(name) is missing") }
      return standard
    }
    guard let number = member.integer else { throw FormatProblem("the field \(name) is not a whole number") }
    return number
  }

  private func hashAlgorithm(_ name: String, orElse standard: HashAlgorithm?) throws(FormatProblem) -> HashAlgorithm {
    guard let member = self[name] else {
      guard let standard else { throw FormatProblem("the field \(name) is missing") }
      return standard
    }
    var word = member.text?.uppercased() ?? ""
    if word.hasPrefix("HMAC") { word.removeFirst(4) }
    switch word {
    case "SHA1": return .sha1
    case "SHA256": return .sha256
    case "SHA512": return .sha512
    case "MD5", "SHA224", "SHA384":
      throw FormatProblem("the algorithm \(word) is not supported, only SHA1, SHA256 and SHA512")
    default: throw FormatProblem("the algorithm must be SHA1, SHA256 or SHA512")
    }
  }
}

extension KeyEntry {
  /// An account of an app. Labels that no URI can contain are shown, but do not become the device's.
  init(
    issuer: String?, account: String?, device read: () throws(FormatProblem) -> DeviceDraft
  ) {
    let device = Result { () throws(FormatProblem) in
      var device = try read()
      device.issuer = issuer.flatMap { OTPAuthURI.isValidLabelPart($0) ? $0 : nil }
      device.account = account.flatMap { OTPAuthURI.isValidLabelPart($0) ? $0 : nil }
      return device
    }
    self.init(device)
    (self.issuer, self.account) = (issuer, account)
  }
}

extension String {
  /// Without white space around it, and at most 128 characters long; nil if nothing remains.
  var trimmedName: String? {
    var scalars = unicodeScalars.prefix(128)[...]
    while scalars.first?.properties.isWhitespace == true { scalars.removeFirst() }
    while scalars.last?.properties.isWhitespace == true { scalars.removeLast() }
    return scalars.isEmpty ? nil : String(String.UnicodeScalarView(scalars))
  }
}

extension FormatProblem {
  static let steam = FormatProblem("Steam codes are not supported")

  /// `way` is how the app exports without encryption.
  static func encryptedExport(_ way: String) -> FormatProblem {
    FormatProblem("it is encrypted", hint: "export it again without encryption: \(way)")
  }
}
