import CSetup
import Enrollment
import Glibc

/// Whose rights the process has.
enum Identity {
  /// Gives up the rights of root for good and takes those of an account, its groups included: what happens in
  /// a home happens with the rights of its owner, never with root's.
  ///
  /// - Throws: ``SetupError`` where the system refuses, or where the way back is still open.
  static func become(_ account: UserAccount) throws {
    if geteuid() == account.userID { return }
    let changed =
      unsafe initgroups(account.nameText, account.groupID) == 0
      && csetup_set_identity(account.userID, account.groupID) == 0
    guard changed else {
      throw SetupError(.notPermitted, "cannot act as \(account.nameText): \(SystemError.current.text)")
    }
    guard csetup_has_identity(account.userID, account.groupID) == 1, setuid(0) != 0 else {
      throw SetupError(.notPermitted, "cannot give up the rights of root")
    }
  }
}
