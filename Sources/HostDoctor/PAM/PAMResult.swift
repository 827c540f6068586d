/// The return values of PAM functions, in libpam's numbering (`_pam_types.h`).
enum PAMResult: Int, CaseIterable {
  case success, openError, symbolError, serviceError, systemError, bufferError, permissionDenied, authenticationError
  case credentialsInsufficient, informationUnavailable, userUnknown, maximumTries, newTokenRequired, accountExpired
  case sessionError, credentialsUnavailable, credentialsExpired, credentialsError, noModuleData, conversationError
  case tokenError, tokenRecoveryError, tokenLockBusy, tokenDisableAging, tryAgain, ignore, abort, tokenExpired
  case moduleUnknown, badItem, conversationAgain, incomplete

  /// The name in control values (pam.conf(5)), such as `auth_err`.
  var name: String { Self.names[rawValue] }

  init?(name: String) {
    guard let index = Self.names.firstIndex(of: name) else { return nil }
    self.init(rawValue: index)
  }

  static let names = [
    "success", "open_err", "symbol_err", "service_err", "system_err", "buf_err", "perm_denied", "auth_err",
    "cred_insufficient", "authinfo_unavail", "user_unknown", "maxtries", "new_authtok_reqd", "acct_expired",
    "session_err", "cred_unavail", "cred_expired", "cred_err", "no_module_data", "conv_err", "authtok_err",
    "authtok_recover_err", "authtok_lock_busy", "authtok_disable_aging", "try_again", "ignore", "abort",
    "authtok_expired", "module_unknown", "bad_item", "conv_again", "incomplete",
  ]
}
