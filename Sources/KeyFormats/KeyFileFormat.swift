import FixedMemory

/// The formats in which keys come from other programs.
package enum KeyFileFormat: String, CaseIterable {
  /// The file `.google_authenticator` of google-authenticator's PAM module.
  case googleAuthenticator = "google-authenticator"
  /// A users file of pam_oath.
  case oath
  /// otpauth URIs, one a line.
  case uri

  /// Finds the format of a text; nil where it looks like none.
  package init?(of text: Span<UInt8>) {
    var lines = TextLines()
    var first: TextLine?
    var hasOptions = false
    while let line = lines.next(in: text) {
      let words = line.words(in: text)
      guard let word = words.first else { continue }
      // A users file has comments, and anything may stand in them.
      if words.count > 3, OATHUsersFile.isType(text.slice(word)) {
        self = .oath
        return
      }
      hasOptions = hasOptions || text[word.lowerBound] == UInt8(ascii: "\"")
      if first == nil, text[word.lowerBound] != UInt8(ascii: "#") { first = line }
    }
    guard let first else { return nil }
    if Self.begins(text.slice(first.range), "otpauth") {
      self = .uri
    } else if first.number == 1, hasOptions,
      (try? SharedKey(base32: text.slice(first.range), readsDigitsAsLetters: true)) != nil
    {
      self = .googleAuthenticator
    } else {
      return nil
    }
  }

  private static func begins(_ line: Span<UInt8>, _ prefix: String) -> Bool {
    var start = 0
    while start < line.count, line[start].isBlank { start += 1 }
    let rest = line.slice(from: start, to: start + prefix.utf8.count)
    return rest.count == prefix.utf8.count
      && prefix.utf8.enumerated().allSatisfy { rest[$0.offset] | 0x20 == $0.element | 0x20 }
  }
}
