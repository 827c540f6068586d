internal import Enrollment
internal import FixedMemory
internal import HelperProtocol

/// The requests ``HelperRequest/put`` and ``HelperRequest/export``, about the row of one user.
enum RowRequest {
  /// `message` has no length. Nil if memory is short. Throws a failure of kind `absent` if the user is not enrolled.
  static func answer(
    _ request: HelperRequest, _ message: Span<UInt8>, _ session: RowSession
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    switch request {
    case .put: try RowTransfer.put(message, session)
    case .export: try RowTransfer.export(message, session)
    default: HelperAnswer.encoded(.unknownRequest)
    }
  }
}
