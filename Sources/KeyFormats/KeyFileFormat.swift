import FixedMemory

package enum KeyFileFormat: String, CaseIterable {
  /// otpauth URIs, one a line, also inside other text.
  case uri
  /// otpauth-migration URIs, which Google Authenticator exports.
  case migration
  /// `.google_authenticator` of google-authenticator's PAM module.
  case googleAuthenticator = "google-authenticator"
  case oath
  case pskc
  /// Seed files of token vendors.
  case csv
  case aegis
  case twoFAS = "2fas"
  case andOTP = "andotp"
  case freeOTP = "freeotp"
  case bitwarden

  /// Detects the format; nil if unknown.
  package init?(of text: Span<UInt8>) {
    if let app = KeyFileFormat(ofApp: text) {
      self = app
      return
    }
    if PSKCContainer.isContainer(text) {
      self = .pskc
      return
    }
    var lines = TextLines()
    var first: TextLine?
    var hasOptions = false
    while let line = lines.next(in: text) {
      let words = line.words(in: text)
      guard let word = words.first else { continue }
      // Check every line: comments of a users file can contain anything.
      if words.count > 3, OATHUsersFile.isType(text.slice(word)) {
        self = .oath
        return
      }
      hasOptions = hasOptions || text[word.lowerBound] == UInt8(ascii: "\"")
      if first == nil, text[word.lowerBound] != UInt8(ascii: "#") { first = line }
    }
    guard let first else { return nil }
    if first.number == 1, hasOptions,
      (try? SharedKey(base32: text.slice(first.range), readsDigitsAsLetters: true)) != nil
    {
      self = .googleAuthenticator
    } else if let scheme = OTPAuthURI.firstScheme(in: text) {
      self = scheme == .migration ? .migration : .uri
    } else if SeedFile.isRecognized(text) {
      self = .csv
    } else {
      return nil
    }
  }

  /// For messages, as in `a PSKC file`.
  package var title: String {
    switch self {
    case .uri: "otpauth URIs"
    case .migration: "an export of Google Authenticator"
    case .googleAuthenticator: "a google-authenticator file"
    case .oath: "a users file of pam_oath"
    case .pskc: "a PSKC file"
    case .csv: "a seed file in CSV"
    case .aegis: "an export of Aegis"
    case .twoFAS: "an export of 2FAS"
    case .andOTP: "an export of andOTP"
    case .freeOTP: "an export of FreeOTP"
    case .bitwarden: "an export of Bitwarden"
    }
  }

  /// The accounts in the text, in its order. An unusable account does not affect the others.
  ///
  /// - Throws: ``FormatProblem`` if the text is unusable as a whole; errors of ``KeyFileReading/unlock``.
  package func entries(of text: Span<UInt8>, _ reading: KeyFileReading) throws -> [KeyEntry] {
    switch self {
    case .uri, .migration: try OTPAuthURI.entries(of: text)
    case .googleAuthenticator: [try GoogleAuthenticatorFile(parsing: text).entry(now: reading.now)]
    case .oath: try OATHUsersFile(parsing: text).entries(reading)
    case .aegis: try AegisExport.entries(of: text)
    case .twoFAS: try TwoFASExport.entries(of: text)
    case .andOTP: try AndOTPExport.entries(of: text)
    case .freeOTP: try FreeOTPExport.entries(of: text)
    case .bitwarden: try BitwardenExport.entries(of: text)
    case .csv: try SeedFile.entries(of: text, reading)
    case .pskc: try PSKCContainer(parsing: text, unlock: reading.unlock).entries(reading)
    }
  }
}
