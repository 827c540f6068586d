import FixedMemory

extension KeyFileFormat {
  /// Detects an app's export by the names of its members, even if it is encrypted or truncated. Needs no libjansson.
  init?(ofApp text: Span<UInt8>) {
    if AndOTPExport.isEncrypted(text) {
      self = .andOTP
    } else if FreeOTPExport.isEncrypted(text) {
      self = .freeOTP
    } else {
      switch text.firstSign {
      case UInt8(ascii: "["):
        guard text.has(#""secret""#), text.has(#""label""#) else { return nil }
        self = .andOTP
      case UInt8(ascii: "{"):
        if text.has(#""db""#), text.has(#""header""#) {
          self = .aegis
        } else if text.has(#""services""#), text.has(#""schemaVersion""#) {
          self = .twoFAS
        } else if text.has(#""tokens""#), text.has(#""issuerExt""#) || text.has(#""tokenOrder""#) {
          self = .freeOTP
        } else if text.has(#""encrypted""#), text.has(#""items""#) || text.has(#""passwordProtected""#) {
          self = .bitwarden
        } else {
          return nil
        }
      // Files of FreeOTP's own storage.
      case UInt8(ascii: "<") where text.has("issuerExt&quot;"): self = .freeOTP
      // Bitwarden's CSV.
      default:
        guard text.slice(from: 0, to: text.firstIndex(of: UInt8(ascii: "\n")) ?? text.count).has("login_totp") else {
          return nil
        }
        self = .bitwarden
      }
    }
  }
}

extension Span where Element == UInt8 {
  /// The first byte that is not white space.
  var firstSign: UInt8? {
    for index in indices {
      let byte = self[index]
      if !byte.isBlank, byte != UInt8(ascii: "\n"), byte != UInt8(ascii: "\r") { return byte }
    }
    return nil
  }

  func has(_ literal: Literal) -> Bool {
    guard let first = literal.byte(at: 0) else { return true }
    var start = 0
    while let index = firstIndex(of: first, from: start) {
      if starts(with: literal, at: index) { return true }
      start = index + 1
    }
    return false
  }
}
