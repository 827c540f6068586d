internal import FixedMemory

/// HMAC with one secret key (RFC 2104), over the moving factors of one-time passwords.
///
/// There are two: ``DigestHMAC`` on the digests of OpenSSL alone, which can be linked in, and ``LibraryHMAC``,
/// which is libcrypto's own. The trait `SharedCrypto` decides which of them ``SharedSecret`` takes.
protocol MessageAuthentication: ~Copyable {
  /// What has to be done once, before a user's identity is taken on.
  static func prepareLibrary()

  /// Prepares a key; nil where there is no memory, or where libcrypto refuses.
  init?(key: Span<UInt8>, algorithm: HashAlgorithm)

  /// The HMAC of a moving factor, cut by the dynamic truncation of RFC 4226 section 5.3; nil where libcrypto
  /// fails.
  borrowing func truncatedValue(at movingFactor: UInt64) -> UInt32?
}

/// The dynamic truncation of RFC 4226 section 5.3: 31 bits of a hash, from a place that its last byte names.
///
/// - Parameters:
///   - digest: A hash of 20 bytes at least.
///   - length: The length of the hash.
/// - Returns: The 31 bits.
@unsafe
func dynamicTruncation(of digest: UnsafePointer<UInt8>, length: Int) -> UInt32 {
  // SAFETY: the offset is at most 15, and the shortest hash has 20 bytes.
  let offset = unsafe Int(digest[length &- 1] & 0x0f)
  let value = unsafe UnsafeRawPointer(digest + offset).loadUnaligned(as: UInt32.self)
  return UInt32(bigEndian: value) & 0x7fff_ffff
}
