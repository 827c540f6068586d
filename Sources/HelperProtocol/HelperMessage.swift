internal import FixedMemory

/// The frame of requests and answers (`pam/helper-protocol.md`): a length, the version of the protocol, and the number
/// of the request or result.
public enum HelperMessage {
  /// The version of the protocol.
  public static var version: UInt8 { 1 }

  /// The size of the length, in bytes.
  public static var prefixLength: Int { 4 }

  /// The size of the largest message without its length, in bytes.
  public static var maximumLength: Int { 4096 }

  /// The size of version and number, in bytes.
  static var minimumLength: Int { 2 }

  /// The length of the message after `prefix`; nil if invalid.
  public static func length(_ prefix: Span<UInt8>) -> Int? {
    guard prefix.count == prefixLength else { return nil }
    var length = 0
    var indices = Counter(to: prefixLength)
    while let index = indices.next() {
      length |= Int(prefix.byte(at: index) ?? 0) &<< (8 &* index)
    }
    return length >= minimumLength && length <= maximumLength ? length : nil
  }

  /// A message with its length. Truncates the text.
  static func encoded(_ number: UInt8, _ body: Span<UInt8>) -> ByteText {
    let rest = body.slice(from: 0, to: maximumLength &- minimumLength)
    let length = minimumLength &+ rest.count
    var message = ByteText(capacity: prefixLength &+ length)
    var indices = Counter(to: prefixLength)
    while let index = indices.next() { message.append(UInt8(truncatingIfNeeded: length &>> (8 &* index))) }
    message.append(version)
    message.append(number)
    message.append(rest)
    return message
  }
}
