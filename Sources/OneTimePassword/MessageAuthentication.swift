internal import FixedMemory

/// HMAC (RFC 2104) of moving factors with one key.
///
/// ``DigestHMAC`` needs only OpenSSL's digests, which can be linked statically; ``LibraryHMAC`` calls a shared
/// libcrypto. The trait `SharedCrypto` decides which one ``SharedSecret`` uses.
protocol MessageAuthentication: ~Copyable {
  /// Call once, before assuming a user's identity.
  static func prepareLibrary()

  /// Nil if memory is short, or libcrypto fails.
  init?(key: Span<UInt8>, algorithm: HashAlgorithm)

  /// The HMAC of a moving factor after dynamic truncation; nil if libcrypto fails.
  borrowing func truncatedValue(at movingFactor: UInt64) -> UInt32?
}

/// Dynamic truncation (RFC 4226 section 5.3): 31 bits of a hash, at an offset that its last byte selects.
@unsafe  // SAFETY: the caller passes at least 20 bytes.
func dynamicTruncation(of digest: UnsafePointer<UInt8>, length: Int) -> UInt32 {
  // SAFETY: the offset is at most 15, and every hash has at least 20 bytes.
  let offset = unsafe Int(digest[length &- 1] & 0x0f)
  let value = unsafe UnsafeRawPointer(digest + offset).loadUnaligned(as: UInt32.self)
  return UInt32(bigEndian: value) & 0x7fff_ffff
}
