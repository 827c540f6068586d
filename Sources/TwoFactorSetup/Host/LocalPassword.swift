import Glibc
import HostAccess
import HostDoctor

/// Whether an account has a password that pam_unix can check, as passwd(1) reports to the account itself.
enum LocalPassword: Equatable {
  case usable
  /// Completes a sentence that begins with the account.
  case absent(String)
  /// passwd(1) did not answer, or another module checks passwords.
  case unknown

  /// In seconds.
  private static let timeout = 5

  /// `service` is the PAM service that checks the password.
  init(of account: UserAccount, service: String) {
    let modules = PasswordModules(of: service)
    guard modules.isUnixAlone,
      let passwd = ["/usr/bin/passwd", "/bin/passwd"].first(where: { $0.isAccessible(X_OK) }),
      let run = try? ProgramRun(passwd, ["-S", account.nameText], outputLimit: 4096, timeout: Self.timeout),
      run.end == .exited(0)
    else {
      self = .unknown
      return
    }
    self.init(report: run.output, of: account.nameText, acceptsEmpty: modules.acceptsEmptyPasswords)
  }

  /// Parses the output of `passwd -S`.
  init(report: String, of account: String, acceptsEmpty: Bool) {
    let words = report.split(whereSeparator: \.isWhitespace)
    guard words.count > 1, words[0] == account else {
      self = .unknown
      return
    }
    switch words[1] {
    case "P", "PS": self = .usable
    case "L", "LK": self = .absent("has a locked password")
    case "NP": self = acceptsEmpty ? .usable : .absent("has an empty password")
    default: self = .unknown
    }
  }

  var problem: String? {
    if case .absent(let problem) = self { problem } else { nil }
  }
}
