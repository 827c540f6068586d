import FixedMemory

/// The export of FreeOTP+. Source: `legacy/Token.java` and `legacy/SavedTokens.kt` of FreeOTP+ 3.
enum FreeOTPExport {
  static func entries(of text: Span<UInt8>) throws -> [KeyEntry] {
    guard !isEncrypted(text) else {
      throw FormatProblem(
        "it is an encrypted backup of FreeOTP, which cannot export without encryption",
        hint: "import it into Aegis, which can export without encryption, or enroll again with: twofactor enable")
    }
    guard text.firstSign == UInt8(ascii: "{") else {
      throw FormatProblem("it is not an export", hint: #"in FreeOTP+, Export, "Export JSON format""#)
    }
    return try ParsedJSON.accounts(in: ParsedJSON(parsing: text)["tokens"]).map { token in
      let issuer = token["issuerAlt"]?.name ?? token["issuerExt"]?.name ?? token["issuerInt"]?.name
      return KeyEntry(issuer: issuer, account: token["labelAlt"]?.name ?? token["label"]?.name) {
        () throws(FormatProblem) in
        // The app decides by the issuer.
        guard issuer != "Steam" else { throw .steam }
        let isUnused = token["counter"]?.integer == -1 && token["type"]?.text == "HOTP"
        guard !isUnused else {
          throw FormatProblem(
            "the counter is below 0 until the first code", hint: "show one code in FreeOTP+, and export again")
        }
        return try token.device(type: token["type"], algorithm: "algo", isComplete: false, key: token.keyInBytes)
      }
    }
  }

  /// Whether this is a backup of FreeOTP 2: a serialized Java object.
  static func isEncrypted(_ text: Span<UInt8>) -> Bool {
    text.count > 4 && text[0] == 0xac && text[1] == 0xed && text[2] == 0 && text[3] == 5
  }
}

extension ParsedJSON {
  /// The key in the member `secret`, a list of signed bytes, as in Java.
  fileprivate func keyInBytes() throws(FormatProblem) -> SharedKey {
    guard let numbers = self["secret"]?.elements else { throw FormatProblem("it has no key") }
    guard var bytes = SecretBuffer(capacity: numbers.count) else { throw .outOfMemory }
    for number in numbers {
      guard let byte = number.integer.flatMap(Int8.init(exactly:)) else {
        throw FormatProblem("the key is not a list of bytes")
      }
      _ = bytes.append(UInt8(bitPattern: byte))
    }
    return try SharedKey(bytes)
  }
}
