#if SharedCrypto
internal import COpenSSL
internal import FixedMemory

/// HMAC as libcrypto has it (EVP_MAC(3)), from whichever provider the host has set up: what rules such as
/// FIPS 140 ask for. The key lives in libcrypto's context, which is overwritten when it is freed.
///
/// It is public for its `deinit` alone, which Embedded Swift must see wherever a ``SharedSecret`` ends.
@safe
public struct LibraryHMAC: ~Copyable, MessageAuthentication {
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
    // What fails here is not to be found among the errors of the host.
    _ = ERR_set_mark()
    defer { _ = ERR_pop_to_mark() }
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

  deinit { unsafe EVP_MAC_CTX_free(context) }

  borrowing func truncatedValue(at movingFactor: UInt64) -> UInt32? {
    let context = unsafe context
    let length = length
    _ = ERR_set_mark()
    defer { _ = ERR_pop_to_mark() }
    return unsafe digest.withMemory { memory in
      let digest = unsafe memory.assumingMemoryBound(to: UInt8.self)
      // With no key it begins anew with the one that it has.
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
    guard let method = unsafe EVP_MAC_fetch(nil, Literal("HMAC").cString, nil) else { return nil }
    // The context keeps the method alive.
    let context = unsafe EVP_MAC_CTX_new(method)
    unsafe EVP_MAC_free(method)
    return unsafe context
  }

  private static func start(_ context: OpaquePointer, _ key: Span<UInt8>, _ algorithm: HashAlgorithm) -> Bool {
    // The name is read alone (OSSL_PARAM(3)).
    let name = unsafe UnsafeMutablePointer(mutating: algorithm.name.cString)
    var parameters = unsafe (
      OSSL_PARAM_construct_utf8_string(Literal("digest").cString, name, 0), OSSL_PARAM_construct_end()
    )
    return unsafe withUnsafeBytes(of: &parameters) { parameters in
      unsafe key.withUnsafeBufferPointer { key in
        // SAFETY: both parameters are of one type, one behind the other; the strings live as long as the program.
        unsafe EVP_MAC_init(
          context, key.baseAddress, key.count, parameters.baseAddress?.assumingMemoryBound(to: OSSL_PARAM.self)) == 1
      }
    }
  }
}
#endif
