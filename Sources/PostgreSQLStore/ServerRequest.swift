internal import FixedMemory
internal import HelperProtocol

/// The requests ``HelperRequest/list``, ``HelperRequest/describe`` and ``HelperRequest/reseal``, about all rows of the
/// group.
enum ServerRequest {
  /// `message` has no length. Nil if memory is short.
  static func answer(
    _ request: HelperRequest, _ message: Span<UInt8>, _ settings: StoreSettings
  ) throws(StoreProblem) -> SecretBuffer? {
    HelperAnswer.encoded(.unknownRequest)
  }
}
