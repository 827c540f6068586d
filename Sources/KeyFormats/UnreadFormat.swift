import FixedMemory

/// A format that is not read, but recognized, so that the refusal can name it.
package struct UnreadFormat {
  /// As in "it is a ZIP archive".
  package let name: String
  package let hint: String

  private static let typeKey = "show the key in that program, and type it at: twofactor enable --ask-key"
  private static let askVendor = "ask the vendor for the keys as a PSKC or CSV file"

  /// Marks at the beginning of a text.
  private static let beginnings: [(mark: Literal, name: String, hint: String)] = [
    ("PK\u{3}\u{4}", "a ZIP archive", "unpack it, and import the file that it contains"),
    ("SQLite format 3", "the database of an app", typeKey),
    ("AUTHENTICATORPRO", "an encrypted backup of Stratum", typeKey),
    ("AuthenticatorPro", "an encrypted backup of Authenticator Pro", typeKey),
    ("multiotp-database-format", "a file of multiOTP", typeKey),
  ]

  /// Marks near the beginning of a text.
  private static let contents: [(mark: Literal, name: String, hint: String)] = [
    (#""Authenticators":"#, "a backup of Stratum", typeKey),
    (#""2fauth_"#, "an export of 2FAuth", typeKey),
    (#""otpGenerator":"#, "a backup of Duo", typeKey),
    (#""originalIssuerName":"#, "an export of LastPass Authenticator", typeKey),
    (#""kdfParams":"#, "an encrypted export of Ente Auth", "export it again as plain text"),
    (#""iconValue":"#, "an export of Raivo", typeKey),
    ("TimeOtp-", "an entry of KeePass", typeKey),
    ("HmacOtp-", "an entry of KeePass", typeKey),
    ("TOTP Seed", "an entry of KeePass", typeKey),
    ("&size=", "an entry of KeeOtp", typeKey),
    ("grouping,fav", "an export of LastPass", typeKey),
    ("<map>", "the storage of an app", typeKey),
    ("<TKNBatch", "a file of RSA SecurID tokens", askVendor),
    ("<Tokens", "a file of SafeNet tokens in XML", askVendor),
    ("sccKey:", "a file of SafeWord tokens", askVendor),
    (":sha1:base32:", "an otp-secrets file of OpenVPN or PPP", typeKey),
    (":sha1:hex:", "an otp-secrets file of OpenVPN or PPP", typeKey),
    (":hotp-d", "a password file of otpd", typeKey),
    ("MOTP", "a users file of Mobile-OTP (mOTP)", typeKey),
  ]

  /// Nil if the text is in none of these formats.
  package init?(of text: Span<UInt8>) {
    let beginning = text.slice(from: 0, to: 1 << 14)
    guard
      let found = Self.beginnings.first(where: { text.starts(with: $0.mark) })
        ?? Self.contents.first(where: { beginning.has($0.mark) })
    else { return nil }
    name = found.name
    hint = found.hint
  }
}
