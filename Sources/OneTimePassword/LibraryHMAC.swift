#if SharedCrypto
internal import COpenSSL
internal import FixedMemory

/// libcrypto's HMAC (EVP_MAC(3)) from the host's configured provider, as FIPS 140 requires. libcrypto overwrites the
/// key when it frees the context.
///
/// Public only because Embedded Swift must see its `deinit` in every module that destroys its owner.
@safe
public struct LibraryHMAC: ~Copyable, MessageAuthentication {
  // SAFETY: the context is freed in `deinit`.
  private let context: OpaquePointer
  private let digest: SecretBuffer
  private let length: Int

  static func prepareLibrary() {
    _ = ERR_set_mark()
    _ = OPENSSL_init_crypto(UInt64(OPENSSL_INIT_LOAD_CONFIG), nil)
    _ = ERR_pop_to_mark()
  }

  init?(key: Span<UInt8>, algorithm: HashAlgorithm) {
    guard let digest = SecretBuffer(capacity: algorithm.digestLength) else { return nil }
    // Leave no errors in the host's error queue.
    _ = ERR_set_mark()
    defer { _ = ERR_pop_to_mark() }
    // SAFETY: the context is freed here, or in `deinit`.
    guard let context = unsafe Self.makeContext() else { return nil }
    guard unsafe Self.start(context, key, algorithm), unsafe EVP_MAC_CTX_get_mac_size(context) == digest.capacity
    else {
      unsafe EVP_MAC_CTX_free(context)
      return nil
    }
    unsafe self.context = context
    self.digest = digest
    length = algorithm.digestLength
  }

  // SAFETY: this is the last use of the context.
  deinit { unsafe EVP_MAC_CTX_free(context) }

  borrowing func truncatedValue(at movingFactor: UInt64) -> UInt32? {
    // SAFETY: `self` owns the context, and the digest has room for `length` bytes.
    let context = unsafe context
    let length = length
    _ = ERR_set_mark()
    defer { _ = ERR_pop_to_mark() }
    return unsafe digest.withMemory { memory in
      let digest = unsafe memory.assumingMemoryBound(to: UInt8.self)
      // Without a key, EVP_MAC_init(3) reuses the previous one.
      guard unsafe EVP_MAC_init(context, nil, 0, nil) == 1 else { return nil }
      let isHashed = unsafe withUnsafeBytes(of: movingFactor.bigEndian) { bytes in
        unsafe EVP_MAC_update(context, bytes.baseAddress, bytes.count) == 1
      }
      var written = 0
      guard isHashed, unsafe EVP_MAC_final(context, digest, &written, length) == 1, written == length else {
        return nil
      }
      return unsafe dynamicTruncation(of: digest, length: length)
    }
  }

  private static func makeContext() -> OpaquePointer? {
    // SAFETY: the literal is NUL-terminated; the context retains the method.
    guard let method = unsafe EVP_MAC_fetch(nil, Literal("HMAC").cString, nil) else { return nil }
    let context = unsafe EVP_MAC_CTX_new(method)
    unsafe EVP_MAC_free(method)
    return unsafe context
  }

  private static func start(_ context: OpaquePointer, _ key: Span<UInt8>, _ algorithm: HashAlgorithm) -> Bool {
    // SAFETY: libcrypto only reads the name (OSSL_PARAM(3)); all pointers outlive the call.
    let name = unsafe UnsafeMutablePointer(mutating: algorithm.name.cString)
    var parameters = unsafe (
      OSSL_PARAM_construct_utf8_string(Literal("digest").cString, name, 0), OSSL_PARAM_construct_end()
    )
    return unsafe withUnsafeBytes(of: &parameters) { parameters in
      unsafe key.withUnsafeBufferPointer { key in
        unsafe EVP_MAC_init(
          context, key.baseAddress, key.count, parameters.baseAddress?.assumingMemoryBound(to: OSSL_PARAM.self)) == 1
      }
    }
  }
}
#endif
