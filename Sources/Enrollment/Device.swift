internal import FixedMemory
public import OneTimePassword

/// One authenticator of a user, without its secret.
public struct Device: BitwiseCopyable, Sendable {
  /// Where the moving factor of the codes comes from.
  public enum Kind: BitwiseCopyable, Equatable, Sendable {
    /// From the clock (RFC 6238), in steps of so many seconds.
    case totp(period: Int64)

    /// From a counter (RFC 4226), which began here at enrolment; where it is now stands in the state.
    case hotp(counter: UInt64)
  }

  /// Where the moving factor comes from.
  public let kind: Kind

  /// The hash function under the HMAC.
  public let algorithm: HashAlgorithm

  /// How many digits its codes have.
  public let digits: CodeDigits

  /// When it was enrolled, in seconds since the epoch.
  public let enabledAt: Int64

  /// Where the secret stands among the decoded secrets of the credential.
  let secret: ByteRange

  /// Where the name stands in the credential's text.
  let name: ByteRange

}

/// A stretch of bytes in the text of a credential, or among its secrets: neither is longer than 16 KiB.
struct ByteRange: BitwiseCopyable, Sendable {
  private let first: UInt16
  private let last: UInt16

  /// Nothing.
  init() { (first, last) = (0, 0) }

  init(start: Int, end: Int) {
    first = UInt16(truncatingIfNeeded: start)
    last = UInt16(truncatingIfNeeded: end)
  }

  private init(first: UInt16, last: UInt16) { (self.first, self.last) = (first, last) }

  /// As many bytes further on.
  func moved(by count: Int) -> ByteRange {
    let count = UInt16(truncatingIfNeeded: count)
    return ByteRange(first: first &+ count, last: last &+ count)
  }

  var start: Int { Int(first) }
  var end: Int { Int(last) }
}

/// What the name of a device may be.
public enum DeviceName {
  /// How long a name may be, in bytes.
  public static var lengths: ClosedRange<Int> { 1...64 }

  /// Whether the bytes are a name: UTF-8 without control characters, and no blank at either end.
  public static func isValid(_ bytes: Span<UInt8>) -> Bool {
    guard lengths.contains(bytes.count), bytes.byte(at: 0)?.isBlank == false,
      bytes.byte(at: bytes.count &- 1)?.isBlank == false
    else { return false }
    var index = 0
    while let byte = bytes.byte(at: index) {
      if byte >= 0x20, byte < 0x7f {
        index &+= 1
        continue
      }
      guard let length = lengthOfPrintableScalar(in: bytes, at: index) else { return false }
      index &+= length
    }
    return true
  }

  /// The length of the UTF-8 sequence at `index` (RFC 3629 section 4), which is not a printable character of ASCII; nil
  /// where there is none, or where it is a control character (C0, DEL, C1).
  private static func lengthOfPrintableScalar(in bytes: Span<UInt8>, at index: Int) -> Int? {
    guard let first = bytes.byte(at: index) else { return nil }
    let length: Int
    var lowest: UInt8 = 0x80
    var highest: UInt8 = 0xbf
    switch first {
    case 0xc2: (length, lowest) = (2, 0xa0)  // U+0080 to U+009F are controls
    case 0xc3...0xdf: length = 2
    case 0xe0: (length, lowest) = (3, 0xa0)
    case 0xed: (length, highest) = (3, 0x9f)
    case 0xe1...0xef: length = 3
    case 0xf0: (length, lowest) = (4, 0x90)
    case 0xf4: (length, highest) = (4, 0x8f)
    case 0xf1...0xf3: length = 4
    default: return nil
    }
    guard let second = bytes.byte(at: index &+ 1), second >= lowest, second <= highest else { return nil }
    for offset in 2..<4 where offset < length {
      guard let next = bytes.byte(at: index &+ offset), next & 0xc0 == 0x80 else { return nil }
    }
    return length
  }
}
