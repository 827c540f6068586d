public import FixedMemory

/// The result of a request.
public enum HelperStatus: UInt8, Error, Sendable {
  case done = 0

  /// The message is not a request, or its length is wrong.
  case malformed = 1

  /// The helper lacks this version of the protocol.
  case unknownVersion = 2

  case unknownRequest = 3

  /// The user cannot be registered, because there is no register.
  case unavailable = 4

  /// The request failed. The answer's text says why; it is empty if memory is exhausted.
  case failed = 5
}

/// An answer of `twofactor-helper`.
public struct HelperAnswer: ~Copyable {
  /// The result.
  public let status: HelperStatus

  /// Why the request failed, in English; else empty.
  public let text: ByteText

  /// An answer with a text.
  public init(_ status: HelperStatus, text: consuming ByteText = ByteText()) {
    self.status = status
    self.text = text
  }

  /// Parses an answer with its length; nil if invalid.
  public init?(parsing bytes: Span<UInt8>) {
    let message = bytes.slice(from: HelperMessage.prefixLength)
    guard let length = HelperMessage.length(bytes.slice(from: 0, to: HelperMessage.prefixLength)),
      message.count == length, message.byte(at: 0) == HelperMessage.version,
      let status = message.byte(at: 1).flatMap(HelperStatus.init(rawValue:))
    else { return nil }
    var text = ByteText(capacity: message.count)
    text.append(message.slice(from: HelperMessage.minimumLength))
    self.init(status, text: text)
  }

  /// The message with its length.
  public var encoded: ByteText { HelperMessage.encoded(status.rawValue, text.bytes) }
}
