import CHelper
import CSystem
import Enrollment
import EnrollmentRequests
import FixedMemory
import HelperProtocol
import LoginPolicy
import SystemFiles

/// Serves a request of the real user in the place that `twofactor.conf` names.
enum HelperService {
  /// Reads the policy, then the request. With `store=postgresql`, another program reads it. Nil if memory is short.
  static func answer() -> SecretBuffer? {
    do throws(PolicyProblem) {
      var policy = Policy()
      // SAFETY: a literal is NUL-terminated.
      try policy.read(file: unsafe PolicyFile.read(PolicyFile.usualPath.cString, isOptional: true))
      try policy.check()
      if policy.isPostgreSQL {
        let failure = StoreProgram.execute()
        return answer { _ in HelperAnswer.encoded(failure) }
      }
      return answer { request in answer(request, policy) }
    } catch {
      let problem = error
      return answer { _ in encoded(problem) }
    }
  }

  private static func encoded(_ problem: PolicyProblem) -> SecretBuffer? {
    var text = ByteText(capacity: 255)
    problem.describe(into: &text, path: PolicyFile.usualPath.bytes)
    return HelperAnswer.encoded(problem.error == .outOfMemory ? .io : .configuration, text)
  }

  /// Reads the request. `body` answers it; but `register` needs no policy.
  private static func answer(_ body: (borrowing UserRequest) -> SecretBuffer?) -> SecretBuffer? {
    do throws(HelperStatus) {
      return try answer(UserRequest(message: MessageStream.read(), user: UserID(rawValue: getuid())), body)
    } catch {
      return HelperAnswer.encoded(error)
    }
  }

  private static func answer(
    _ request: borrowing UserRequest, _ body: (borrowing UserRequest) -> SecretBuffer?
  ) throws(HelperStatus) -> SecretBuffer? {
    let number = try HelperRequest(parsing: request.message.bytes)
    guard number.isOfUsers else { throw .unknownRequest }
    return number == .register ? register(request) : body(request)
  }

  private static func answer(_ request: borrowing UserRequest, _ policy: borrowing Policy) -> SecretBuffer? {
    do throws(HelperStatus) {
      return try answer(request, HelperRequest(parsing: request.message.bytes), policy)
    } catch {
      return HelperAnswer.encoded(error)
    }
  }

  private static func answer(
    _ request: borrowing UserRequest, _ number: HelperRequest, _ policy: borrowing Policy
  ) -> SecretBuffer? {
    do throws(EnrollmentFailure) {
      if number == .unregister { return try unregister(request, policy) }
      let account = try account(of: request.user, policy)
      let path = try EnrollmentPath(template: policy.directory, account: account, isShared: policy.isShared)
      // Enrollments elsewhere belong to root or to another account.
      guard policy.owner.isEmpty, path.isInHostStore || path.isBelowHome else {
        return HelperAnswer.encoded(.unavailable)
      }
      // In the home, users change their own files, and this program would create them with its group.
      guard path.isInHostStore || number == .status || number == .check else {
        return HelperAnswer.encoded(.unavailable)
      }
      return try request.answer(number, in: UserEnrollment(path: path, account: account), policy)
    } catch {
      if error.reason == .absent { return HelperAnswer.encoded(.absent) }
      return HelperAnswer.encoded(error)
    }
  }

  /// The host store needs only the user ID, so the lookup of a name service is skipped.
  private static func account(of user: UserID, _ policy: borrowing Policy) throws(EnrollmentFailure) -> Account {
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

  private static func register(_ request: borrowing UserRequest) -> SecretBuffer? {
    guard MessageReader().isComplete(request.message.bytes) else { return HelperAnswer.encoded(.malformed) }
    do throws(EnrollmentFailure) {
      if try EnrollmentRegister.add(request.user) { request.log("registered") }
      return HelperAnswer.encoded(.done)
    } catch {
      return error.reason == .absent ? HelperAnswer.encoded(.unavailable) : HelperAnswer.encoded(error)
    }
  }

  /// In the host store, only the request `remove` unregisters.
  private static func unregister(
    _ request: borrowing UserRequest, _ policy: borrowing Policy
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    guard MessageReader().isComplete(request.message.bytes) else { return HelperAnswer.encoded(.malformed) }
    guard !policy.isHostStore, !policy.enforcesTwoFactor(now: SystemClock.now) else {
      request.log("refused to unregister")
      return HelperAnswer.encoded(.forbidden)
    }
    if try EnrollmentRegister.remove(request.user) { request.log("unregistered") }
    return HelperAnswer.encoded(.done)
  }
}

/// `twofactor-store-postgresql`, the program for `store=postgresql`, of a package of its own.
private enum StoreProgram {
  /// Replaces this process by the program, which keeps the group, and reads the request. Returns only on failure.
  static func execute() -> EnrollmentFailure {
    let (first, second) = (StoreProgramPath.first, StoreProgramPath.second)
    guard let path = TrustRule.isProgramOfRoot(first) ? first : TrustRule.isProgramOfRoot(second) ? second : nil else {
      return EnrollmentFailure(.io, "twofactor-store-postgresql", "is not installed, or others can change it")
    }
    // SAFETY: a literal is NUL-terminated.
    unsafe chelper_execute(path.cString)
    return EnrollmentFailure(.io, "twofactor-store-postgresql", "cannot be started", error: .current)
  }
}
