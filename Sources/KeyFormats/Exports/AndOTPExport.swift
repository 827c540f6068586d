import FixedMemory

/// The backup of andOTP. Source: `Database/Entry.java` and `Utilities/Constants.java` of andOTP 0.9.
enum AndOTPExport {
  static func entries(of text: Span<UInt8>) throws -> [KeyEntry] {
    // The app marks encrypted backups only by the file name extension.
    guard text.firstSign == UInt8(ascii: "[") else {
      if text.firstSign == UInt8(ascii: "{") { throw FormatProblem("it is not a list of accounts") }
      throw FormatProblem.encryptedExport(#"in andOTP, Backup, "Backup type: Plain-text", "Create backup""#)
    }
    return try ParsedJSON.accounts(in: ParsedJSON(parsing: text)).map { entry in
      KeyEntry(issuer: entry["issuer"]?.name, account: entry["label"]?.name) { () throws(FormatProblem) in
        guard entry["type"]?.text?.uppercased() != "HOTP" || entry["counter"] != nil else {
          throw FormatProblem("the field counter is missing")
        }
        return try entry.device(type: entry["type"], algorithm: "algorithm", isComplete: false, key: entry.base32Key)
      }
    }
  }

  /// Whether this is a backup encrypted with a password, which begins with the number of PBKDF2 iterations (140,000 to
  /// 160,000), or with OpenPGP.
  static func isEncrypted(_ text: Span<UInt8>) -> Bool {
    if text.begins(with: "-----begin pgp message-----") { return true }
    guard text.count > 44, text[0] == 0 else { return false }
    return (140_000...160_000).contains(Int(text[1]) << 16 | Int(text[2]) << 8 | Int(text[3]))
  }
}
