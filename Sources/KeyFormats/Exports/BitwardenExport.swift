import FixedMemory

/// The vault of Bitwarden in JSON, and the export of Bitwarden Authenticator, which has the same form. Source:
/// `bitwarden-exporters/src/json.rs` and `bitwarden-vault/src/totp.rs` of Bitwarden's SDK.
enum BitwardenExport {
  static func entries(of text: Span<UInt8>) throws -> [KeyEntry] {
    guard text.firstSign == UInt8(ascii: "{") else {
      throw FormatProblem("it is not in JSON", hint: "export it again: \(way)")
    }
    let root = try ParsedJSON(parsing: text)
    guard root["encrypted"]?.isTrue != true, root["passwordProtected"]?.isTrue != true else {
      throw FormatProblem.encryptedExport(way)
    }
    guard let items = root["items"]?.elements else { throw FormatProblem("it contains no items") }
    let entries = try items.compactMap { item throws(FormatProblem) in try entry(item) }
    guard !entries.isEmpty else { throw FormatProblem("none of its items has an authenticator key") }
    return entries
  }

  private static let way =
    #"in Bitwarden, Tools, "Export vault", file format ".json"; in Bitwarden Authenticator, Settings, Export, JSON"#

  /// Nil if the item has no authenticator key.
  private static func entry(_ item: ParsedJSON) throws(FormatProblem) -> KeyEntry? {
    guard let login = item["login"], let key = login["totp"] else { return nil }
    var uri: OTPAuthURI?
    let device = try key.withText { text throws(FormatProblem) -> Result<DeviceDraft, FormatProblem>? in
      guard text.firstSign != nil || !key.isText else { return nil }
      return Result { () throws(FormatProblem) in
        guard key.isText else { throw FormatProblem("the field totp is not a text") }
        if text.begins(with: "steam://") { throw .steam }
        guard text.begins(with: "otpauth") else {
          return DeviceDraft(key: try SharedKey(base32: text), kind: .totp(period: DeviceDraft.defaultPeriod))
        }
        let parsed = try OTPAuthURI(parsing: text)
        guard case .totp = parsed.device.kind else {
          throw FormatProblem("the codes are counter-based, but Bitwarden shows time-based ones")
        }
        uri = parsed
        return parsed.device
      }
    }
    guard let device else { return nil }
    let (issuer, account) = (item["name"]?.name, login["username"]?.name)
    var entry = KeyEntry(
      issuer: issuer ?? uri?.device.issuer, account: account ?? uri?.device.account, device: device.get)
    if let others = uri?.otherParameters, !others.isEmpty {
      entry.remarks.append("\(others.joined(separator: ", ")): unknown, ignored")
    }
    return entry
  }
}
