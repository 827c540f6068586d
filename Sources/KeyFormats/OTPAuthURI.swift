import OneTimePassword

/// The URI that authenticator apps read from a QR code: `otpauth://TYPE/LABEL?PARAMETERS`, as the Key URI
/// Format of Google Authenticator defines it.
///
/// Parameters that have their default value are left out: every app takes the default for what is missing,
/// and a shorter URI makes a smaller QR code, which fits on a smaller screen.
package struct OTPAuthURI {
  /// What produces the codes.
  package let device: DeviceParameters
  /// The key in Base32.
  package let key: String
  /// Who asks for the code.
  package let issuer: String
  /// Whose code it is.
  package let account: String

  /// The URI of a device.
  package init(device: DeviceParameters, key: String, issuer: String, account: String) {
    self.device = device
    self.key = key
    self.issuer = issuer
    self.account = account
  }

  /// Whether a text may stand as issuer or account: the label puts a colon between the two.
  package static func isValidLabelPart(_ text: String) -> Bool {
    // Byte by byte: to a Character, a colon with an accent on it is no colon.
    let blank = UInt8(ascii: " ")
    return text.isOneLine(upTo: 128) && !text.utf8.contains(UInt8(ascii: ":")) && text.utf8.first != blank
      && text.utf8.last != blank
  }

  /// A text made fit to stand as issuer or account.
  package static func labelPart(_ text: String) -> String {
    let kept = String(String.UnicodeScalarView(text.printable.unicodeScalars.filter { $0 != ":" }))
    return isValidLabelPart(kept) ? kept : "twofactor"
  }

  /// The URI.
  package var text: String {
    var parameters = ["secret=\(key)", "issuer=\(Self.encoded(issuer))"]
    if device.algorithm != .sha1 { parameters.append("algorithm=\(device.algorithm.text.uppercased())") }
    if device.digits != .six { parameters.append("digits=\(device.digits.rawValue)") }
    switch device.kind {
    case .totp(let period):
      if period != DeviceParameters.defaultPeriod { parameters.append("period=\(period)") }
    case .hotp(let counter):
      parameters.append("counter=\(counter)")
    }
    let label = "\(Self.encoded(issuer)):\(Self.encoded(account))"
    return "otpauth://\(device.kind.name)/\(label)?\(parameters.joined(separator: "&"))"
  }

  /// Percent-encodes everything but the unreserved characters of RFC 3986.
  private static func encoded(_ text: String) -> String {
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
