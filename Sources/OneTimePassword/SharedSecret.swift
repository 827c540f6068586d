internal import COpenSSL

/// The shared secret of a device, prepared for any number of codes.
public struct SharedSecret: ~Copyable {
  /// In bytes. RFC 4226 section 4 requires 16, but existing tokens and imported files have fewer.
  public static var lengths: ClosedRange<Int> { 10...128 }

  #if SharedCrypto
  private typealias HMAC = LibraryHMAC
  #else
  private typealias HMAC = DigestHMAC
  #endif

  private let key: HMAC

  /// Lets a shared libcrypto read the host's configuration, which a user may not be permitted to read. Call it before
  /// assuming a user's identity.
  public static func prepareLibrary() { HMAC.prepareLibrary() }

  /// Prepares the raw bytes of a secret; nil if memory is short, or libcrypto fails.
  public init?(_ bytes: Span<UInt8>, algorithm: HashAlgorithm) {
    // The hash function leaves the padded key on the stack.
    defer { copenssl_wipe_stack() }
    guard let key = HMAC(key: bytes, algorithm: algorithm) else { return nil }
    self.key = key
  }

  /// The one-time password of a moving factor (RFC 4226 section 5.3) as a number, without leading zeros. Nil if
  /// libcrypto fails.
  public borrowing func code(at movingFactor: UInt64, digits: CodeDigits) -> UInt32? {
    guard let value = truncatedValue(at: movingFactor) else { return nil }
    return value % digits.modulus
  }

  /// The 31 bits before the reduction to digits. Nil if libcrypto fails.
  package borrowing func truncatedValue(at movingFactor: UInt64) -> UInt32? { key.truncatedValue(at: movingFactor) }
}

/// The number of digits of a device's codes.
public enum CodeDigits: UInt8, BitwiseCopyable, Sendable {
  case six = 6
  case eight = 8

  /// 10 to the power of the number of digits.
  public var modulus: UInt32 {
    switch self {
    case .six: 1_000_000
    case .eight: 100_000_000
    }
  }
}
