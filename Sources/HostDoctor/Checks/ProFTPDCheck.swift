/// Finds ProFTPD servers that check the password themselves, without PAM or after PAM refused the login.
struct ProFTPDCheck {
  private let configuration: PAMConfiguration
  private let settings: ProFTPDConfiguration

  static let name = "proftpd_auth_order"

  private static let pam = "mod_auth_pam.c"
  private static let unix = "mod_auth_unix.c"

  init(_ configuration: PAMConfiguration) {
    self.configuration = configuration
    settings = ProFTPDConfiguration(configuration.tree)
  }

  var finding: Finding? {
    let servers = settings.servers.filter(isOpen)
    guard let first = servers.first else { return nil }
    let edits = servers.flatMap(edits).reduce(into: [Edit]()) { if !$0.contains($1) { $0.append($1) } }
    let asked =
      first.authPAM?.isOff == true
      ? "does not ask PAM" : "checks the password itself after the service \(service(of: first)) refused a login"
    return .failed(
      Self.name, "\(first.place): ProFTPD \(asked): the password alone is enough to log in", remedy: edits.text)
  }

  /// Without `AuthPAMConfig`, Debian's build uses `proftpd`, others use `ftp`.
  private func service(of server: ProFTPDConfiguration.Server) -> String {
    if let name = server.authPAMConfig?.values.first { return name }
    return configuration.path(of: "proftpd") != nil ? "proftpd" : "ftp"
  }

  /// Whether the service asks for a code, but the password alone is enough.
  private func isOpen(_ server: ProFTPDConfiguration.Server) -> Bool {
    let stacks = configuration.stacks(of: service(of: server).asciiLowercased)
    guard !stacks.chain(.auth).twoFactorIndexes.isEmpty else { return false }
    guard let order = server.authOrder?.values else { return true }
    // With the asterisk, a refusal by PAM is final at any position in the list.
    let isFinal = order.contains(Self.pam + "*") && server.authPAM?.isOff != true
    return order.contains { $0.hasPrefix(Self.unix) } && !isFinal
  }

  private func edits(of server: ProFTPDConfiguration.Server) -> [Edit] {
    var edits: [Edit] = []
    if let line = server.authPAM, line.isOff { edits.append(line.replaced(by: "AuthPAM on")) }
    if let line = server.authOrder {
      let others = line.values.filter { !$0.hasPrefix(Self.pam) }
      edits.append(line.replaced(by: (["AuthOrder", Self.pam + "*"] + others).joined(separator: " ")))
    } else {
      edits.append(server.addition("AuthOrder \(Self.pam)* \(Self.unix)"))
    }
    return edits
  }
}
