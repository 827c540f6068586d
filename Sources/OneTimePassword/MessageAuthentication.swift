internal import FixedMemory

/// HMAC with one secret key (RFC 2104) over the moving factors of one-time passwords.
///
/// ``DigestHMAC`` needs only OpenSSL's digests, which can be linked in; ``LibraryHMAC`` is libcrypto's own. The trait
/// `SharedCrypto` decides which one ``SharedSecret`` uses.
protocol MessageAuthentication: ~Copyable {
  /// Prepares the library. Called once, before a user's identity is assumed.
  static func prepareLibrary()

  /// Prepares a key; nil if there is no memory, or libcrypto fails.
  init?(key: Span<UInt8>, algorithm: HashAlgorithm)

  /// The HMAC of a moving factor after the dynamic truncation of RFC 4226 section 5.3; nil if libcrypto fails.
  borrowing func truncatedValue(at movingFactor: UInt64) -> UInt32?
}

/// The dynamic truncation of RFC 4226 section 5.3: 31 bits of a hash, at an offset that its last byte selects.
@unsafe  // SAFETY: the caller passes at least 20 bytes.
func dynamicTruncation(of digest: UnsafePointer<UInt8>, length: Int) -> UInt32 {
  // SAFETY: the offset is at most 15, and the shortest hash has 20 bytes.
  let offset = unsafe Int(digest[length &- 1] & 0x0f)
  let value = unsafe UnsafeRawPointer(digest + offset).loadUnaligned(as: UInt32.self)
  return UInt32(bigEndian: value) & 0x7fff_ffff
}
