internal import Enrollment
internal import FixedMemory
internal import OneTimePassword

/// Proves for a while that the caller knew a code of this credential: eight bytes with the end of its validity, and a
/// message authentication code under the credential's generation and first shared secret. A change of the credential
/// makes it invalid.
enum ChangeTicket {
  /// In seconds.
  private static var lifetime: Int64 { 900 }

  /// The values of 31 bits in the authentication code.
  private static var values: Int { 4 }

  /// Nil if memory is short, or libcrypto fails.
  static func make(for credential: borrowing Credential, now: Int64) -> ByteText? {
    encoded(end: UInt64(bitPattern: now &+ lifetime), credential)
  }

  static func isValid(_ ticket: Span<UInt8>, for credential: borrowing Credential, now: Int64) -> Bool {
    var end: UInt64 = 0
    var indices = Counter(to: 8)
    while let index = indices.next() { end |= UInt64(ticket.byte(at: index) ?? 0) &<< UInt64(8 &* index) }
    // A later end means that the clock was set back.
    let left = Int64(bitPattern: end) &- now
    guard left > 0, left <= lifetime, let expected = encoded(end: end, credential) else { return false }
    return isSame(expected, ticket)
  }

  private static func isSame(_ text: borrowing ByteText, _ bytes: Span<UInt8>) -> Bool {
    text.bytes.isEqualInConstantTime(to: bytes)
  }

  private static func encoded(end: UInt64, _ credential: borrowing Credential) -> ByteText? {
    guard let key = key(of: credential), let secret = secret(key) else { return nil }
    return encoded(end: end, under: secret)
  }

  private static func secret(_ key: borrowing SecretBuffer) -> SharedSecret? {
    SharedSecret(key.bytes, algorithm: .sha256)
  }

  private static func encoded(end: UInt64, under secret: borrowing SharedSecret) -> ByteText? {
    var ticket = ByteText(capacity: 8 &+ 4 &* values)
    append(end, byteCount: 8, to: &ticket)
    var indices = Counter(to: values)
    while let index = indices.next() {
      guard let value = secret.truncatedValue(at: end &* UInt64(values) &+ UInt64(index)) else { return nil }
      append(UInt64(value), byteCount: 4, to: &ticket)
    }
    guard !ticket.isTruncated else { return nil }
    return ticket
  }

  /// The key of the message authentication code. Differs from every shared secret that computes codes.
  private static func key(of credential: borrowing Credential) -> SecretBuffer? {
    let secret = credential.secret(ofDeviceAt: 0)
    guard var key = SecretBuffer(capacity: Generation.length &+ secret.count) else { return nil }
    var indices = Counter(to: Generation.length)
    while let index = indices.next() { _ = key.append(credential.generation.byte(at: index)) }
    guard key.append(secret) else { return nil }
    return key
  }

  private static func append(_ number: UInt64, byteCount: Int, to text: inout ByteText) {
    var indices = Counter(to: byteCount)
    while let index = indices.next() { text.append(UInt8(truncatingIfNeeded: number &>> UInt64(8 &* index))) }
  }
}
