import FixedMemory

/// The backup file of 2FAS, schema 1 to 4. Source: `BackupContent.kt` and `ServiceMapper.kt` of 2FAS for Android,
/// `ExchangeData2.swift` of 2FAS for iOS.
enum TwoFASExport {
  static func entries(of text: Span<UInt8>) throws -> [KeyEntry] {
    let root = try ParsedJSON(parsing: text)
    guard root["servicesEncrypted"] == nil, root["reference"] == nil else {
      throw FormatProblem.encryptedExport(
        #"in 2FAS, Settings, "2FAS Backup", Export, with "Export file without password""#)
    }
    guard let schema = root["schemaVersion"]?.integer, (1...4).contains(schema) else {
      throw FormatProblem("this version of the backup is unknown")
    }
    return try ParsedJSON.accounts(in: root["services"]).map { service in
      let properties = service["otp"]
      let account = properties?["account"]?.name ?? properties?["label"]?.name
      return KeyEntry(issuer: service["name"]?.name ?? properties?["issuer"]?.name, account: account) {
        () throws(FormatProblem) in
        guard let properties else { throw FormatProblem("the field otp is missing") }
        return try properties.device(
          type: properties["tokenType"], algorithm: "algorithm", isComplete: false, key: service.base32Key)
      }
    }
  }
}
