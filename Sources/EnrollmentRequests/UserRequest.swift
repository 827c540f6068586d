internal import CHelper
public import Enrollment
public import FixedMemory
public import HelperProtocol
public import LoginPolicy
public import SystemFiles
internal import Verification

/// A request about the enrollment of one user (`pam/helper-protocol.md`). Limits come from the policy of the host,
/// never from a user.
public struct UserRequest: ~Copyable {
  /// The message, without its length.
  public let message: SecretBuffer

  /// The user whom the log names.
  public let user: UserID

  /// Whether root makes the request: it needs no ticket, may always disable two-factor, and logs its requests itself.
  public let isOfRoot: Bool

  /// A message without its length.
  public init(message: consuming SecretBuffer, user: UserID, isOfRoot: Bool = false) {
    self.message = message
    self.user = user
    self.isOfRoot = isOfRoot
  }

  /// Carries out a request. Nil if memory is short. Throws a failure of kind `absent` if the user is not enrolled.
  public borrowing func answer<Place: EnrollmentPlace & ~Copyable>(
    _ request: HelperRequest, in place: borrowing Place, _ policy: borrowing Policy
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    switch request {
    case .status: try status(in: place, policy)
    case .check: try check(in: place, policy)
    case .replace: try replace(in: place, policy)
    case .remove: try remove(in: place, policy)
    case .show: try show(in: place)
    case .resync: try resync(in: place, policy.limits)
    default: HelperAnswer.encoded(.unknownRequest)
    }
  }

  /// Logs an event of the user.
  public borrowing func log(_ event: Literal) { log(event) { _ in } }

  /// Logs an event, the user, and what `body` appends.
  borrowing func log(_ event: Literal, _ body: (inout ByteText) -> Void) {
    guard !isOfRoot else { return }
    var text = ByteText(capacity: 255)
    text.append(event)
    text.append(" uid=")
    text.append(decimal: UInt64(user.rawValue))
    body(&text)
    // SAFETY: the text is NUL-terminated.
    unsafe text.withCString { unsafe chelper_log($0) }
  }
}
