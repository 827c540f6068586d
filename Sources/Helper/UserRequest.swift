import CHelper
import CSystem
import Enrollment
import FixedMemory
import HelperProtocol
import LoginPolicy
import SystemFiles
import Verification

/// A request of a user about that user's enrollment. Limits come from `twofactor.conf`, never from the caller.
struct UserRequest: ~Copyable {
  /// Without its length.
  let message: SecretBuffer
  let user: UserID

  /// Nil if memory is short.
  borrowing func answer(_ request: HelperRequest) -> SecretBuffer? {
    if request == .register {
      guard MessageReader().isComplete(message.bytes) else { return HelperAnswer.encoded(.malformed) }
      return register()
    }
    do throws(PolicyProblem) {
      var policy = Policy()
      // SAFETY: a literal is NUL-terminated.
      try policy.read(file: unsafe PolicyFile.read(PolicyFile.usualPath.cString, isOptional: true))
      try policy.check()
      return answer(request, policy)
    } catch {
      var text = ByteText(capacity: 255)
      error.describe(into: &text, path: PolicyFile.usualPath.bytes)
      return HelperAnswer.encoded(error.error == .outOfMemory ? .io : .configuration, text)
    }
  }

  private borrowing func answer(_ request: HelperRequest, _ policy: borrowing Policy) -> SecretBuffer? {
    do throws(EnrollmentFailure) {
      switch request {
      case .register: return register()
      case .unregister: return try unregister(policy)
      case .status, .check, .replace, .remove, .show, .resync: break
      }
      let account = try account(policy)
      let path = try EnrollmentPath(template: policy.directory, account: account)
      // Enrollments elsewhere belong to root or to another account.
      guard policy.owner.isEmpty, path.isInHostStore || path.isBelowHome else {
        return HelperAnswer.encoded(.unavailable)
      }
      // In the home, users change their own files, and this program would create them with its group.
      guard path.isInHostStore || request == .status || request == .check else {
        return HelperAnswer.encoded(.unavailable)
      }
      let enrollment = UserEnrollment(path: path, account: account)
      switch request {
      case .status: return try status(of: enrollment, policy)
      case .check: return try check(enrollment, policy)
      case .replace: return try replace(enrollment, policy)
      case .remove: return try remove(enrollment, policy)
      case .show: return try show(enrollment)
      case .resync: return try resync(enrollment, policy.limits)
      case .register, .unregister: return nil
      }
    } catch {
      if error.reason == .absent { return HelperAnswer.encoded(.absent) }
      return HelperAnswer.encoded(error)
    }
  }

  /// The host store needs only the user ID, so the lookup of a name service is skipped.
  private func account(_ policy: borrowing Policy) throws(EnrollmentFailure) -> Account {
    if policy.isHostStore {
      // SAFETY: literals are NUL-terminated.
      let account = unsafe Account(
        name: Literal("user").cString, userID: user, groupID: GroupID(rawValue: getgid()), home: Literal("/").cString)
      guard let account else { throw EnrollmentFailure(.io, "account", "out of memory") }
      return account
    }
    var account = Account()
    switch account.find(userID: user) {
    case .found: return account
    case .unknown: throw EnrollmentFailure(.io, "account", "does not exist")
    case .failed(let error): throw EnrollmentFailure(.io, "account", "cannot be looked up", error: error)
    }
  }

  // MARK: Register

  private func register() -> SecretBuffer? {
    do throws(EnrollmentFailure) {
      if try EnrollmentRegister.add(user) { log("registered") }
      return HelperAnswer.encoded(.done)
    } catch {
      return error.reason == .absent ? HelperAnswer.encoded(.unavailable) : HelperAnswer.encoded(error)
    }
  }

  /// In the host store, only ``remove(_:_:)`` unregisters.
  private func unregister(_ policy: borrowing Policy) throws(EnrollmentFailure) -> SecretBuffer? {
    guard MessageReader().isComplete(message.bytes) else { return HelperAnswer.encoded(.malformed) }
    guard !policy.isHostStore, !policy.enforcesTwoFactor(now: SystemClock.now) else {
      log("refused to unregister")
      return HelperAnswer.encoded(.forbidden)
    }
    if try EnrollmentRegister.remove(user) { log("unregistered") }
    return HelperAnswer.encoded(.done)
  }

  // MARK: Log

  borrowing func log(_ event: Literal) { logLine(event, user) { _ in } }
}

/// Logs an event, the user, and what `body` appends.
func logLine(_ event: Literal, _ user: UserID, _ body: (inout ByteText) -> Void) {
  var text = ByteText(capacity: 255)
  text.append(event)
  text.append(" uid=")
  text.append(decimal: UInt64(user.rawValue))
  body(&text)
  // SAFETY: the text is NUL-terminated.
  unsafe text.withCString { unsafe chelper_log($0) }
}
