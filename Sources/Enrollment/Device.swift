internal import FixedMemory
public import OneTimePassword

/// An authenticator, without its secret.
public struct Device: BitwiseCopyable, Sendable {
  /// The source of the moving factor.
  public enum Kind: BitwiseCopyable, Equatable, Sendable {
    /// The clock (RFC 6238), in time steps of `period` seconds.
    case totp(period: Int64)

    /// A counter (RFC 4226) with its value at enrollment; the state contains the current one.
    case hotp(counter: UInt64)
  }

  /// The source of the moving factor.
  public let kind: Kind

  /// The hash function of the HMAC.
  public let algorithm: HashAlgorithm

  /// Digits of a code.
  public let digits: CodeDigits

  /// How many time steps the device's clock is ahead of the host's (RFC 6238 section 6); negative if behind, 0 for
  /// HOTP.
  public let clockOffset: Int64

  /// The range of ``clockOffset``.
  public static var clockOffsets: ClosedRange<Int64> { -3000...3000 }

  /// Unix time.
  public let enabledAt: Int64

  /// In the decoded secrets of the credential.
  let secret: ByteRange

  /// In the text of the credential.
  let name: ByteRange

  /// The time step of the device's clock at `now`, Unix time: not below 0. Nil for HOTP, and before the epoch.
  public func timeStep(at now: Int64) -> UInt64? {
    guard case .totp(let period) = kind, let step = TimeStep(at: now, period: period) else { return nil }
    // No overflow: a time step is at most 2⁶³ / 15.
    let shown = Int64(truncatingIfNeeded: step.rawValue) &+ clockOffset
    return shown < 0 ? 0 : UInt64(truncatingIfNeeded: shown)
  }

  /// The first moving factor that cannot have been used: the time step after the window, or a counter that does not
  /// exist.
  func factorAfterWindow(now: Int64, window: UInt64) -> UInt64 {
    guard let step = timeStep(at: now) else { return UInt64.max }
    let (last, overflow) = step.addingReportingOverflow(window &+ 1)
    return overflow ? UInt64.max : last
  }
}

/// A range of bytes in the text or the secrets of a credential, which have at most 16 KiB.
struct ByteRange: BitwiseCopyable, Sendable {
  private let first: UInt16
  private let last: UInt16

  init() { self.init(start: 0, end: 0) }

  init(start: Int, end: Int) {
    first = UInt16(truncatingIfNeeded: start)
    last = UInt16(truncatingIfNeeded: end)
  }

  var start: Int { Int(first) }
  var end: Int { Int(last) }
}

extension Span where Element == UInt8 {
  @inline(__always)
  @_lifetime(copy self)
  func slice(_ range: ByteRange) -> Span<UInt8> { slice(from: range.start, to: range.end) }
}

/// Rules for device names.
public enum DeviceName {
  /// In bytes.
  public static var lengths: ClosedRange<Int> { 1...64 }

  /// Whether the name is UTF-8 without control characters and surrounding blanks.
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

  /// The length of a UTF-8 sequence (RFC 3629 section 4) of a printable character beyond ASCII; nil for anything else.
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
