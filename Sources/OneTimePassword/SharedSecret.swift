internal import COpenSSL

/// The shared secret of one device, ready for the codes of any number of moving factors.
public struct SharedSecret: ~Copyable {
  /// The shortest and the longest secret, in bytes. RFC 4226 section 4 asks for 16; existing tokens and files
  /// of other programs have less.
  public static var lengths: ClosedRange<Int> { 10...128 }

  #if SharedCrypto
  private typealias HMAC = LibraryHMAC
  #else
  private typealias HMAC = DigestHMAC
  #endif

  private let key: HMAC

  /// Has libcrypto, where it is what computes the HMAC, read the host's configuration: to be called before the
  /// identity of a user is taken on, who may not be able to read it.
  public static func prepareLibrary() { HMAC.prepareLibrary() }

  /// Prepares a secret; nil where there is no memory, or where libcrypto refuses.
  ///
  /// - Parameters:
  ///   - bytes: The secret itself, not its Base32 form. It can be forgotten afterwards.
  ///   - algorithm: The hash function of the device.
  public init?(_ bytes: Span<UInt8>, algorithm: HashAlgorithm) {
    // The hash leaves the padded key on the stack, in one form or another, where it does not stay in registers.
    defer { copenssl_wipe_stack() }
    guard let key = HMAC(key: bytes, algorithm: algorithm) else { return nil }
    self.key = key
  }

  /// The HOTP value of a moving factor, a counter of HOTP or a time step of TOTP, before it is cut to digits:
  /// 31 bits (RFC 4226 section 5.3, the dynamic truncation). Nil where libcrypto fails.
  public borrowing func truncatedValue(at movingFactor: UInt64) -> UInt32? { key.truncatedValue(at: movingFactor) }

  /// The one-time password of a moving factor as a number; shown, it has leading zeros (RFC 4226 section 5.3).
  /// Nil where libcrypto fails.
  public borrowing func code(at movingFactor: UInt64, digits: CodeDigits) -> UInt32? {
    guard let value = truncatedValue(at: movingFactor) else { return nil }
    return value % digits.modulus
  }
}
