internal import CPostgreSQL
internal import CSystem
internal import Enrollment
internal import EnrollmentRequests
package import FixedMemory
internal import HelperProtocol
internal import LoginPolicy
package import SystemFiles
internal import Verification

/// Carries out the request of a message.
package struct StoreService: ~Copyable {
  /// Who asks.
  package enum Requester {
    /// Root, about the user with this name, or about all users.
    case root(about: String?)

    /// A user, through `twofactor-helper`.
    case user(UserID)
  }

  let message: SecretBuffer
  let requester: Requester

  /// A message without its length.
  package init(_ message: consuming SecretBuffer, of requester: Requester) {
    self.message = message
    self.requester = requester
  }

  /// Nil if memory is short.
  package borrowing func answer() -> SecretBuffer? {
    do throws(HelperStatus) {
      let request = try HelperRequest(parsing: message.bytes)
      do throws(StoreProblem) {
        return try answer(request)
      } catch {
        return error.answer
      }
    } catch {
      return HelperAnswer.encoded(error)
    }
  }

  private borrowing func answer(_ request: HelperRequest) throws(StoreProblem) -> SecretBuffer? {
    switch requester {
    case .user(let user):
      guard request.isOfUsers else { return HelperAnswer.encoded(.unknownRequest) }
      return try answer(request, RowSession(of: Self.name(of: user), settings: StoreSettings()), of: user)
    case .root(let user?):
      try Self.requireUTF8(user)
      return try answer(request, RowSession(of: user, settings: StoreSettings()), of: nil)
    case .root(nil):
      return try ServerRequest.answer(request, message.bytes, StoreSettings())
    }
  }

  /// Swift replaces invalid bytes of an argument by U+FFFD, so two accounts could share a row.
  private static func requireUTF8(_ name: String) throws(StoreProblem) {
    guard !name.unicodeScalars.contains("\u{FFFD}") else { throw .notUTF8 }
  }

  private static func name(of user: UserID) throws(StoreProblem) -> String {
    var account = Account()
    switch account.find(userID: user) {
    case .found: break
    case .unknown: throw StoreProblem(.io, "account: does not exist")
    case .failed(let error):
      throw StoreProblem(EnrollmentFailure(.io, "account", "cannot be looked up", error: error))
    }
    guard let name = String(validating: account.name.bytes) else { throw .notUTF8 }
    try requireUTF8(name)
    return name
  }

  /// `user` is nil for root.
  private borrowing func answer(
    _ request: HelperRequest, _ session: RowSession, of user: UserID?
  ) throws(StoreProblem) -> SecretBuffer? {
    do throws(EnrollmentFailure) {
      switch request {
      case .register, .unregister: return HelperAnswer.encoded(.unavailable)
      case .login where user == nil: return try LoginAnswer.encoded(message.bytes, session)
      case .unlock where user == nil: return try unlock(session)
      case .remove where user == nil: return try remove(session)
      case .replace where user == nil: return try replace(session)
      case .put where user == nil, .export where user == nil:
        return try RowRequest.answer(request, message.bytes, session)
      default: break
      }
      guard request.isOfUsers else { return HelperAnswer.encoded(.unknownRequest) }
      return try answer(request, session, of: user, Self.policy(session))
    } catch {
      if error.reason == .absent { return HelperAnswer.encoded(.absent) }
      // Texts with details come from the session.
      if error.subject.bytes.isEqual(to: RowSession.subject), let problem = session.problem { throw problem }
      throw StoreProblem(error)
    }
  }

  private borrowing func answer(
    _ request: HelperRequest, _ session: RowSession, of user: UserID?, _ policy: borrowing Policy
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    // The module's argument may select the store, too, but only for root.
    guard user == nil || policy.isPostgreSQL else { return HelperAnswer.encoded(.unavailable) }
    guard var copy = SecretBuffer(capacity: message.count), copy.append(message.bytes) else {
      throw EnrollmentFailure(.io, "request", "out of memory")
    }
    let userRequest = UserRequest(message: copy, user: user ?? .root, isOfRoot: user == nil)
    return try userRequest.answer(request, in: RowPlace(session), policy)
  }

  /// The policy of the host, for limits and for what users may change.
  private static func policy(_ session: RowSession) throws(EnrollmentFailure) -> Policy {
    do throws(PolicyProblem) {
      var policy = Policy()
      // SAFETY: a literal is NUL-terminated.
      try policy.read(file: unsafe PolicyFile.read(PolicyFile.usualPath.cString, isOptional: true))
      try policy.check()
      return policy
    } catch {
      throw session.failure(StoreProblem(error, in: String(validating: PolicyFile.usualPath.bytes) ?? ""))
    }
  }

  /// Root needs no ticket, and removes unusable rows, too.
  private borrowing func remove(_ session: RowSession) throws(EnrollmentFailure) -> SecretBuffer? {
    var reader = MessageReader()
    _ = reader.field(of: message.bytes)
    guard reader.isComplete(message.bytes) else { return HelperAnswer.encoded(.malformed) }
    _ = try session.lock()
    try session.delete()
    return HelperAnswer.encoded(.done)
  }

  /// Root replaces enrollments that logins reject, too.
  private borrowing func replace(_ session: RowSession) throws(EnrollmentFailure) -> SecretBuffer? {
    do throws(EnrollmentFailure) {
      return try answer(.replace, session, of: nil, Self.policy(session))
    } catch {
      guard error.reason == .corrupt else { throw error }
      return try overwrite(session, after: error)
    }
  }

  private borrowing func overwrite(
    _ session: RowSession, after failure: EnrollmentFailure
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    var reader = MessageReader()
    _ = reader.field(of: message.bytes)
    let change: EnrollmentChange
    do throws(HelperStatus) {
      change = try EnrollmentChange(&reader, of: message.bytes)
    } catch {
      return HelperAnswer.encoded(error)
    }
    // The devices of the old enrollment cannot be read.
    guard !change.keepsDevices else { throw failure }
    try EnrollmentRow(session).overwrite(by: change)
    return HelperAnswer.encoded(.done)
  }

  private borrowing func unlock(_ session: RowSession) throws(EnrollmentFailure) -> SecretBuffer? {
    guard MessageReader().isComplete(message.bytes) else { return HelperAnswer.encoded(.malformed) }
    let row = EnrollmentRow(session)
    let limits = VerificationLimits()
    do throws(EnrollmentFailure) {
      try Self.forgetFailures(row.locked(limits))
    } catch {
      guard error.isOfLostState else { throw error }
      try Self.forgetFailures(row.locked(limits))
    }
    return HelperAnswer.encoded(.done)
  }

  private static func forgetFailures(
    _ locked: consuming LockedEnrollment<RowLock>
  ) throws(EnrollmentFailure) {
    locked.state.value.forgetFailures()
    try locked.save()
  }
}

extension StoreProblem {
  fileprivate static var notUTF8: StoreProblem {
    StoreProblem(.configuration, "account: the name is not UTF-8")
  }
}
