import FixedMemory

/// The vault of Aegis in JSON. Source: `vault/VaultFile.java`, `vault/Vault.java` and `otp/OtpInfo.java` of Aegis 3.4.
enum AegisExport {
  static func entries(of text: Span<UInt8>) throws -> [KeyEntry] {
    let root = try ParsedJSON(parsing: text)
    guard let vault = root["db"], root["version"] != nil else { throw FormatProblem("it contains no vault") }
    guard !vault.isText, root["header"]?["slots"] == nil else {
      throw FormatProblem.encryptedExport(
        #"in Aegis, Settings, "Import & Export", Export, format "Aegis (.JSON)", without "Encrypt the vault""#)
    }
    guard root["version"]?.integer == 1, let version = vault["version"]?.integer, (1...3).contains(version) else {
      throw FormatProblem("this version of the vault is unknown")
    }
    return try ParsedJSON.accounts(in: vault["entries"]).map { entry in
      KeyEntry(issuer: entry["issuer"]?.name, account: entry["name"]?.name) { () throws(FormatProblem) in
        guard let info = entry["info"] else { throw FormatProblem("the field info is missing") }
        return try info.device(type: entry["type"], algorithm: "algo", isComplete: true, key: info.base32Key)
      }
    }
  }
}
