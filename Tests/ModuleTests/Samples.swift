import Enrollment
import FixedMemory
import OneTimePassword
import Verification

@testable import LoginPolicy

/// A test cannot run.
struct Missing: Error {
  let what: String
}

/// A buffer with the UTF-8 of a text.
func buffer(_ text: String) throws -> SecretBuffer { try buffer(Array(text.utf8)) }

/// A buffer with the bytes.
func buffer(_ bytes: [UInt8]) throws -> SecretBuffer {
  guard var buffer = SecretBuffer(capacity: bytes.count), buffer.append(bytes.span) else {
    throw Missing(what: "memory")
  }
  return buffer
}

/// The bytes of a span.
func array(_ span: Span<UInt8>) -> [UInt8] { span.indices.map { span[$0] } }

/// The text of a span.
func text(_ span: Span<UInt8>) -> String { String(decoding: array(span), as: UTF8.self) }

extension Span where Element == UInt8 {
  /// The bytes as a string.
  var string: String { text(self) }
}

extension ByteText {
  /// The text as a string.
  var string: String { text(bytes) }

  /// The text of a string.
  init(_ string: String) {
    self.init(capacity: string.utf8.count)
    append(Array(string.utf8).span)
  }
}

/// The secrets of RFC 6238's test vectors: "1234567890" repeated to the length of the hash.
func rfc6238Secret(_ algorithm: HashAlgorithm) -> [UInt8] {
  (0..<algorithm.digestLength).map { UInt8(ascii: "0") + UInt8(($0 + 1) % 10) }
}

/// The generation of the sample credentials.
let sampleGeneration = Generation(bytes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])

/// A credential with the devices and backup codes given.
///
/// - Parameters:
///   - devices: The device lines without `device `.
///   - backupCodes: Whole lines.
/// - Returns: The text of the credential.
func credentialText(devices: [String] = [totpDevice()], backupCodes: [String] = []) -> String {
  let lines =
    ["twofactor-credential 1", "generation 000102030405060708090a0b0c0d0e0f", "enabled 1700000000"]
    + devices.map { "device " + $0 } + backupCodes + ["end", ""]
  return lines.joined(separator: "\n")
}

/// The line of a TOTP device with the secret of RFC 4226's test vectors.
func totpDevice(
  algorithm: String = "sha1", digits: Int = 6, period: Int = 30, offset: Int64 = 0, name: String = "phone",
  secret: String = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
) -> String {
  "type=totp algorithm=\(algorithm) digits=\(digits) period=\(period)\(offset == 0 ? "" : " offset=\(offset)") "
    + "enabled=1700000000 secret=\(secret) name=\(name)"
}

/// The line of an HOTP device with the secret of RFC 4226's test vectors.
func hotpDevice(
  counter: UInt64 = 0, name: String = "token", secret: String = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
) -> String {
  "type=hotp algorithm=sha1 digits=6 counter=\(counter) enabled=1700000000 secret=\(secret) name=\(name)"
}

/// The Base32 form of a secret, different for each number.
func secret(_ number: Int) -> String {
  String(repeating: "A", count: 31) + String(Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")[number % 32])
}

/// Text in the format of a hash, always with the same salt.
func hash(_ tail: Character) -> String { "$y$j9T$salt/salt.salt$" + String(repeating: tail, count: 43) }

/// The record of a state.
func bytes(of state: LoginState, sequence: UInt64) throws -> [UInt8] {
  guard var buffer = SecretBuffer(capacity: LoginState.recordLength),
    state.appendRecord(sequence: sequence, to: &buffer)
  else { throw Missing(what: "memory") }
  return array(buffer.bytes)
}

/// The content of a record; nil if it is invalid.
func read(record bytes: [UInt8]) -> (sequence: UInt64, state: LoginState)? {
  let record = LoginState.Record(bytes.span)
  guard record.isIntact, record.hasKnownVersion else { return nil }
  var state = LoginState(generation: record.generation)
  record.read(into: &state)
  return (record.sequence, state)
}
