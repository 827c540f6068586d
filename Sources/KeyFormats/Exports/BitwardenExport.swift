import FixedMemory

/// The vault of Bitwarden in JSON or CSV, and the export of Bitwarden Authenticator, which has the same form. Source:
/// `json.rs` and `csv.rs` of `bitwarden-exporters`, and `totp.rs` of `bitwarden-vault`, in Bitwarden's SDK.
enum BitwardenExport {
  private static let way =
    #"in Bitwarden, Tools, "Export vault", file format ".json"; in Bitwarden Authenticator, Settings, Export, JSON"#

  static func entries(of text: Span<UInt8>) throws -> [KeyEntry] {
    let entries = text.firstSign == UInt8(ascii: "{") ? try items(of: text) : try rows(of: text)
    guard !entries.isEmpty else { throw FormatProblem("none of its items has an authenticator key") }
    return entries
  }

  private static func items(of text: Span<UInt8>) throws -> [KeyEntry] {
    let root = try ParsedJSON(parsing: text)
    guard root["encrypted"]?.isTrue != true, root["passwordProtected"]?.isTrue != true else {
      throw FormatProblem.encryptedExport(way)
    }
    guard let items = root["items"]?.elements else { throw FormatProblem("it contains no items") }
    return items.compactMap { item in
      guard let login = item["login"], let key = login["totp"] else { return nil }
      let (name, user) = (item["name"]?.name, login["username"]?.name)
      guard key.isText else {
        return KeyEntry(issuer: name, account: user) { () throws(FormatProblem) in
          throw FormatProblem("the field totp is not a text")
        }
      }
      return key.withText { entry($0, name: name, user: user) }
    }
  }

  private static func rows(of text: Span<UInt8>) throws(FormatProblem) -> [KeyEntry] {
    var rows = CSVText(text)
    let header = rows.next(in: text)?.fields.map { $0.text(in: text) } ?? []
    guard let column = header.firstIndex(of: "login_totp") else {
      throw FormatProblem("it has no column login_totp", hint: "export it again: \(way)")
    }
    var entries: [KeyEntry] = []
    while let row = rows.next(in: text) {
      if let problem = row.problem { throw problem }
      func name(_ title: String) -> String? {
        guard let index = header.firstIndex(of: title), index < row.fields.count else { return nil }
        return row.fields[index].text(in: text).trimmedName
      }
      guard column < row.fields.count else { continue }
      let key = text.slice(row.fields[column].range)
      guard let entry = entry(key, name: name("name"), user: name("login_username")) else { continue }
      guard entries.count < OTPAuthURI.mostAccounts else { throw OTPAuthURI.tooMany }
      entries.append(entry)
    }
    return entries
  }

  /// Nil if the item has no authenticator key, which is a URI or a key in Base32.
  private static func entry(_ key: Span<UInt8>, name: String?, user: String?) -> KeyEntry? {
    guard key.firstSign != nil else { return nil }
    guard key.begins(with: "otpauth") else {
      return KeyEntry(issuer: name, account: user) { () throws(FormatProblem) in
        if key.begins(with: "steam://") { throw .steam }
        return DeviceDraft(key: try SharedKey(base32: key), kind: .totp(period: DeviceDraft.defaultPeriod))
      }
    }
    let uri = Result { () throws(FormatProblem) in try OTPAuthURI(parsing: key) }
    let labels = try? uri.get().device
    var entry = KeyEntry(issuer: name ?? labels?.issuer, account: user ?? labels?.account) { () throws(FormatProblem) in
      let device = try uri.get().device
      guard case .totp = device.kind else {
        throw FormatProblem("the codes are counter-based, but Bitwarden shows time-based ones")
      }
      return device
    }
    if case .success = entry.device, let remarks = try? uri.get().remarks { entry.remarks = remarks }
    return entry
  }
}
