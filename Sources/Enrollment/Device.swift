internal import FixedMemory
public import OneTimePassword

/// One authenticator of a user, without its secret.
public struct Device: BitwiseCopyable, Sendable {
  /// The source of the moving factor.
  public enum Kind: BitwiseCopyable, Equatable, Sendable {
    /// The clock (RFC 6238), in time steps of `period` seconds.
    case totp(period: Int64)

    /// A counter (RFC 4226), which had this value at enrollment; the current one is in the state.
    case hotp(counter: UInt64)
  }

  /// The source of the moving factor.
  public let kind: Kind

  /// The hash function of the HMAC.
  public let algorithm: HashAlgorithm

  /// The number of digits of a code.
  public let digits: CodeDigits

  /// The time of enrollment in seconds since the epoch.
  public let enabledAt: Int64

  /// The range of the secret in the decoded secrets of the credential.
  let secret: ByteRange

  /// The range of the name in the text of the credential.
  let name: ByteRange

  /// The first moving factor that cannot have been used yet: for a clock, the time step after the window; for a counter,
  /// one that no code has.
  func factorAfterWindow(now: Int64, window: UInt64) -> UInt64 {
    guard case .totp(let period) = kind, let step = TimeStep(at: now, period: period) else { return UInt64.max }
    let (last, overflow) = step.rawValue.addingReportingOverflow(window &+ 1)
    return overflow ? UInt64.max : last
  }
}

/// A range of bytes in the text or the secrets of a credential, both of which are at most 16 KiB long.
struct ByteRange: BitwiseCopyable, Sendable {
  private let first: UInt16
  private let last: UInt16

  /// An empty range.
  init() { self.init(start: 0, end: 0) }

  init(start: Int, end: Int) {
    first = UInt16(truncatingIfNeeded: start)
    last = UInt16(truncatingIfNeeded: end)
  }

  var start: Int { Int(first) }
  var end: Int { Int(last) }
}

extension Span where Element == UInt8 {
  /// The bytes in a range.
  @inline(__always)
  @_lifetime(copy self)
  func slice(_ range: ByteRange) -> Span<UInt8> { slice(from: range.start, to: range.end) }
}

/// The rules for the name of a device.
public enum DeviceName {
  /// The length of a name in bytes.
  public static var lengths: ClosedRange<Int> { 1...64 }

  /// Whether the bytes are a name: UTF-8 without control characters, and without a blank at either end.
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

  /// The length of the UTF-8 sequence of a printable character beyond ASCII (RFC 3629 section 4); nil if the sequence at
  /// `index` is anything else.
  private static func lengthOfPrintableScalar(in bytes: Span<UInt8>, at index: Int) -> Int? {
    guard let first = bytes.byte(at: index) else { return nil }
    let length: Int
    var lowest: UInt8 = 0x80
    var highest: UInt8 = 0xbf
    switch first {
    case 0xc2: (length, lowest) = (2, 0xa0)  // U+0080 to U+009F are control characters
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
