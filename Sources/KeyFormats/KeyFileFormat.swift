import FixedMemory

package enum KeyFileFormat: String, CaseIterable {
  /// `.google_authenticator` of google-authenticator's PAM module.
  case googleAuthenticator = "google-authenticator"
  case oath
  /// One otpauth URI a line.
  case uri

  /// Detects the format; nil if unknown.
  package init?(of text: Span<UInt8>) {
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
    if first.words(in: text).first.map({ text.slice($0).begins(with: "otpauth") }) == true {
      self = .uri
    } else if first.number == 1, hasOptions,
      (try? SharedKey(base32: text.slice(first.range), readsDigitsAsLetters: true)) != nil
    {
      self = .googleAuthenticator
    } else {
      return nil
    }
  }
}
