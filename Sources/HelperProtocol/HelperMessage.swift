public import FixedMemory

/// The frame of requests and answers (`pam/helper-protocol.md`): a length, the version of the protocol, and the number
/// of the request or result.
public enum HelperMessage {
  /// The version of the protocol.
  public static var version: UInt8 { 1 }

  /// The size of the length, in bytes.
  public static var prefixLength: Int { 4 }

  /// The size of the largest message without its length, in bytes: room for a credential.
  public static var maximumLength: Int { 20_480 }

  /// The size of a message without body and length, in bytes: version and number.
  public static var emptyLength: Int { 2 }

  /// The length of the message after `prefix`; nil if invalid.
  public static func length(_ prefix: Span<UInt8>) -> Int? {
    guard prefix.count == prefixLength else { return nil }
    var length = 0
    var indices = Counter(to: prefixLength)
    while let index = indices.next() {
      length |= Int(prefix.byte(at: index) ?? 0) &<< (8 &* index)
    }
    return length >= emptyLength && length <= maximumLength ? length : nil
  }
}

extension HelperMessage {
  /// The start of a message, with room for a body. Nil if it is too long, or memory is short.
  static func start(_ number: UInt8, bodyLength: Int) -> SecretBuffer? {
    let length = emptyLength &+ bodyLength
    guard length <= maximumLength, var message = SecretBuffer(capacity: prefixLength &+ length) else { return nil }
    var rest = UInt32(truncatingIfNeeded: length)
    var indices = Counter(to: prefixLength)
    while indices.next() != nil {
      _ = message.append(UInt8(truncatingIfNeeded: rest))
      rest &>>= 8
    }
    guard message.append(version), message.append(number) else { return nil }
    return message
  }
}

/// Composes a message, field by field. Numbers are little-endian.
public struct MessageWriter: ~Copyable {
  private let number: UInt8
  private var body: SecretBuffer
  private var isComplete = true

  /// `number` is that of the request or of the result, `capacity` that of the body in bytes. Nil if memory is short.
  public init?(_ number: UInt8, capacity: Int) {
    guard let body = SecretBuffer(capacity: capacity) else { return nil }
    self.number = number
    self.body = body
  }

  /// Appends a byte.
  public mutating func add(_ byte: UInt8) { isComplete = body.append(byte) && isComplete }

  /// Appends eight bytes.
  public mutating func add(number: UInt64) {
    var indices = Counter(to: 8)
    while let index = indices.next() { add(UInt8(truncatingIfNeeded: number &>> UInt64(8 &* index))) }
  }

  /// Appends a length of two bytes, and the bytes.
  public mutating func add(field: Span<UInt8>) {
    isComplete = field.count <= Int(UInt16.max) && isComplete
    add(UInt8(truncatingIfNeeded: field.count))
    add(UInt8(truncatingIfNeeded: field.count &>> 8))
    add(rest: field)
  }

  /// Appends bytes up to the end of the message.
  public mutating func add(rest: Span<UInt8>) { isComplete = body.append(rest) && isComplete }

  /// The message with its length; nil if it does not fit, or memory is short.
  public consuming func finish() -> SecretBuffer? {
    guard isComplete, var message = HelperMessage.start(number, bodyLength: body.count), message.append(body.bytes)
    else { return nil }
    return message
  }
}

/// Parses the fields of a message. The caller passes the message, without its length, to each call. Missing bytes read
/// as zeros and empty fields; check ``isComplete(_:)`` last.
public struct MessageReader {
  private var position = HelperMessage.emptyLength
  private var isTruncated = false

  /// Starts at the body.
  public init() {}

  /// Whether all fields existed, and nothing follows them.
  public func isComplete(_ message: Span<UInt8>) -> Bool { !isTruncated && position == message.count }

  /// The next byte.
  @inline(never)
  public mutating func byte(of message: Span<UInt8>) -> UInt8 {
    guard let byte = message.byte(at: position) else {
      isTruncated = true
      return 0
    }
    position &+= 1
    return byte
  }

  /// The next eight bytes.
  public mutating func number(of message: Span<UInt8>) -> UInt64 {
    var number: UInt64 = 0
    var indices = Counter(to: 8)
    while let index = indices.next() { number |= UInt64(byte(of: message)) &<< UInt64(8 &* index) }
    return number
  }

  /// The next field.
  @_lifetime(copy message)
  public mutating func field(of message: Span<UInt8>) -> Span<UInt8> {
    let low = byte(of: message)
    let high = byte(of: message)
    let end = position &+ (Int(low) | Int(high) &<< 8)
    guard !isTruncated, end <= message.count else {
      isTruncated = true
      return message.slice(from: message.count)
    }
    defer { position = end }
    return message.slice(from: position, to: end)
  }

  /// The bytes up to the end of the message.
  @_lifetime(copy message)
  public mutating func rest(of message: Span<UInt8>) -> Span<UInt8> {
    defer { position = message.count }
    return message.slice(from: position)
  }
}
