import Enrollment
import Glibc

/// Whom a subcommand acts for.
struct Subject {
  let account: UserAccount

  /// Whether root acts for somebody by `--user`: then nothing is asked that only that user knows.
  let isManagedByRoot: Bool

  /// Finds the account.
  ///
  /// - Parameter name: The argument of `--user`, or nil.
  /// - Throws: ``SetupError``: ``ExitStatus/notPermitted`` for a `--user` that is not root's to use,
  ///   ``ExitStatus/noSuchAccount``.
  init(user name: String?) throws {
    guard let name else {
      account = try UserAccount.ofCaller()
      isManagedByRoot = false
      return
    }
    guard getuid() == 0, geteuid() == 0 else {
      throw SetupError(
        .notPermitted, "only root may use --user", hint: "without --user the command acts for your own account")
    }
    account = try UserAccount.existing(named: name)
    isManagedByRoot = true
  }

  /// What root is told who did not say for whom: nil for everybody else.
  func reminder(subcommand: String) -> String? {
    guard !isManagedByRoot, account.userID == 0 else { return nil }
    return "twofactor: acting for root\n"
      + "hint: for another account, as root: twofactor \(subcommand) --user NAME; for your own: without sudo\n"
  }
}
