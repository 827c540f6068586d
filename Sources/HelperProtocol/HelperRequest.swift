public import FixedMemory

/// A request to `twofactor-helper` for its real user.
///
/// Numbers 1 to 4 are reserved for `status`, `check`, `replace` and `remove`.
public enum HelperRequest: UInt8, Sendable {
  /// Adds the user to the register of enrolled users.
  case register = 5

  /// Removes the user from the register.
  case unregister = 6

  /// Parses a message without its length.
  ///
  /// - Throws: The status of the answer.
  public init(parsing message: Span<UInt8>) throws(HelperStatus) {
    guard let version = message.byte(at: 0), let number = message.byte(at: 1) else { throw .malformed }
    guard version == HelperMessage.version else { throw .unknownVersion }
    guard let request = HelperRequest(rawValue: number) else { throw .unknownRequest }
    guard message.count == HelperMessage.minimumLength else { throw .malformed }
    self = request
  }

  /// The message with its length.
  public var encoded: ByteText {
    let nothing: Literal = ""
    return HelperMessage.encoded(rawValue, nothing.bytes)
  }
}
