import OneTimePassword

extension DeviceDraft {
  /// In bytes: every text of this length fits into a QR code of 41 modules (ISO/IEC 18004, version 6-L), the largest
  /// one that fits beside the key on a terminal of 80 columns and 24 rows.
  private static let longestPrefixed = 134

  /// The otpauth URI (Key URI Format of Google Authenticator).
  ///
  /// Contains the issuer as a parameter, and also before the account, as that page recommends; a long URI contains it
  /// once (``shortURI``). Omits defaults, which apps assume: a shorter URI makes a smaller QR code.
  package var uri: String {
    let whole = uri(prefix: issuer.map { Self.percentEncoded($0) + ":" } ?? "")
    return whole.utf8.count <= Self.longestPrefixed ? whole : shortURI
  }

  /// The URI with the issuer as a parameter only. Apps read it there if the label has no prefix: Aegis, FreeOTP+,
  /// FreeOTP 2, Google Authenticator, Proton. Some apps read only the parameter, so it is not the one to omit.
  package var shortURI: String { uri(prefix: "") }

  private func uri(prefix: String) -> String {
    var parameters = ["secret=\(key.base32)"]
    if let issuer { parameters.append("issuer=\(Self.percentEncoded(issuer))") }
    if algorithm != .sha1 { parameters.append("algorithm=\(algorithm.text.uppercased())") }
    // Apps take this issuer for Steam Guard otherwise.
    if digits != .six || issuer == "Steam" { parameters.append("digits=\(digits.rawValue)") }
    switch kind {
    case .totp(Self.defaultPeriod): break
    case .totp(let period): parameters.append("period=\(period)")
    case .hotp(let counter): parameters.append("counter=\(counter)")
    }
    let label = prefix + Self.percentEncoded(account ?? "")
    return "otpauth://\(kind.name)/\(label)?\(parameters.joined(separator: "&"))"
  }

  /// Encodes all but the unreserved characters (RFC 3986 section 2.3).
  private static func percentEncoded(_ text: String) -> String {
    var result = ""
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        result.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        result += "%" + (digits.count == 1 ? "0" : "") + digits
      }
    }
    return result
  }
}
