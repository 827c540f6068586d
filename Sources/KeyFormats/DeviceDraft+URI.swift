import OneTimePassword

extension DeviceDraft {
  /// The otpauth URI (Key URI Format of Google Authenticator).
  ///
  /// Omits defaults, which apps assume: a shorter URI makes a smaller QR code.
  package var uri: String {
    var parameters = ["secret=\(key.base32)"]
    if let issuer { parameters.append("issuer=\(Self.percentEncoded(issuer))") }
    if algorithm != .sha1 { parameters.append("algorithm=\(algorithm.text.uppercased())") }
    if digits != .six { parameters.append("digits=\(digits.rawValue)") }
    switch kind {
    case .totp(Self.defaultPeriod): break
    case .totp(let period): parameters.append("period=\(period)")
    case .hotp(let counter): parameters.append("counter=\(counter)")
    }
    let label = (issuer.map { Self.percentEncoded($0) + ":" } ?? "") + Self.percentEncoded(account ?? "")
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
