internal import Enrollment
internal import FixedMemory
internal import HelperProtocol

/// The requests ``HelperRequest/list``, ``HelperRequest/describe`` and ``HelperRequest/reseal``, about all rows of the
/// group.
enum ServerRequest {
  /// `message` has no length. Nil if memory is short.
  static func answer(
    _ request: HelperRequest, _ message: Span<UInt8>, _ settings: StoreSettings
  ) throws(StoreProblem) -> SecretBuffer? {
    let session = RowSession(of: "", settings: settings)
    do throws(EnrollmentFailure) {
      switch request {
      case .list: return try GroupRows.list(message, session)
      case .reseal: return try GroupRows.reseal(message, session)
      case .describe:
        guard MessageReader().isComplete(message) else { return HelperAnswer.encoded(.malformed) }
        return FleetDescription(settings).answer
      default: return HelperAnswer.encoded(.unknownRequest)
      }
    } catch {
      if error.subject.bytes.isEqual(to: RowSession.subject), let problem = session.problem { throw problem }
      throw StoreProblem(error)
    }
  }
}
