import CPAM
import Glibc
import HostAccess
import SystemFiles

/// Checks the password of an account with the PAM service `twofactor`.
///
/// Needs no privileges: pam_unix runs unix_chkpwd(8), which checks the password of the calling user.
enum PasswordCheck {
  static let service = PAMService.password

  /// - Throws: ``SetupError`` with ``ExitStatus/refused`` for a wrong password, ``ExitStatus/configuration`` if the
  ///   service is not installed.
  static func run(for account: UserAccount, at terminal: Terminal, subcommand: String) throws {
    let command = "sudo twofactor \(subcommand) --user \(account.nameText.printable)"
    try requireService()
    let known = LocalPassword(of: account, service: service)
    if let problem = known.problem {
      throw SetupError(
        .refused, "\(account.nameText.printable) \(problem), so there is no password to check",
        hint: "\(command), or the administrator sets require_password = no in \(HostSettings.path)")
    }
    // An error in the conversation would be logged as a failed authentication.
    try terminal.requireAnswers()
    let result = try PAMTransaction.run(service: service, for: account, at: terminal, answering: .password)
    guard result.status != PAM_SUCCESS else { return }
    throw error(result.status, account, hint: known == .unknown ? "without a password: \(command)" : nil)
  }

  /// libpam would fall back to `other`.
  private static func requireService() throws {
    let files = PAMService.folders.map { "\($0)/\(service)" }
    if files.contains(where: { $0.isAccessible(R_OK) }) { return }
    if let closed = files.first(where: { $0.isAccessible(F_OK) }) {
      throw SetupError(
        .configuration, "\(closed) cannot be read, so the password cannot be checked: \(Errno.accessDenied.text)",
        hint: "the administrator can fix this with: chmod 644 \(closed)")
    }
    throw SetupError(
      .configuration, "the PAM service \(service) is not installed, so the password cannot be checked",
      hint: "the administrator can install /etc/pam.d/\(service), or set require_password = no in "
        + "/etc/security/twofactor.conf")
  }

  private static func error(_ status: Int32, _ account: UserAccount, hint: String?) -> SetupError {
    switch status {
    case PAM_AUTH_ERR, PAM_USER_UNKNOWN, PAM_MAXTRIES, PAM_PERM_DENIED, PAM_CRED_INSUFFICIENT:
      SetupError(
        .refused, "wrong password",
        hint: account.userID == 0 ? "root needs no password with: --user root" : hint)
    case PAM_NEW_AUTHTOK_REQD, PAM_AUTHTOK_EXPIRED:
      SetupError(.refused, "the password has expired", hint: "set a new one with: passwd")
    case PAM_ACCT_EXPIRED: SetupError(.refused, "the account has expired")
    default:
      SetupError(
        .configuration, "the password could not be checked: \(PAMTransaction.text(of: status))",
        hint: "the administrator can check /etc/pam.d/\(service) and the authentication log")
    }
  }
}
