internal import CPAM

/// pam_sm_authenticate(3).
@c(pam_sm_authenticate)
public func authenticate(
  handle: OpaquePointer?, flags: Int32, argumentCount: Int32,
  arguments: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  // SAFETY: libpam passes a valid handle and the count of the arguments.
  unsafe withLogin(handle, flags, argumentCount, arguments) { $0.run() }
}

/// pam_sm_acct_mgmt(3).
@c(pam_sm_acct_mgmt)
public func manageAccount(
  handle: OpaquePointer?, flags: Int32, argumentCount: Int32,
  arguments: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  // SAFETY: libpam passes a valid handle and the count of the arguments.
  unsafe withLogin(handle, flags, argumentCount, arguments) { $0.enroll() }
}

/// pam_sm_setcred(3). Does nothing: this module has no credentials to set.
@c(pam_sm_setcred)
public func setCredentials(
  handle: OpaquePointer?, flags: Int32, argumentCount: Int32,
  arguments: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  PAM_SUCCESS
}

private func withLogin(
  _ handle: OpaquePointer?, _ flags: Int32, _ argumentCount: Int32,
  _ arguments: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ body: (inout Login) -> PAMStatus
) -> Int32 {
  // SAFETY: the callers pass on what libpam passed.
  guard let handle = unsafe handle else { return PAM_SERVICE_ERR }
  let transaction = unsafe PAMTransaction(handle: handle, flags: flags)
  let arguments = unsafe ModuleArguments(count: argumentCount, values: arguments)
  var login = Login(transaction: transaction, arguments: arguments)
  return body(&login).rawValue
}
