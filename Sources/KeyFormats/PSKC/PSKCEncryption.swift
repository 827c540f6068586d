internal import CPSKC
import FixedMemory

/// Encryption and message authentication of a container (RFC 6030 section 6). Asks for the key or passphrase when the
/// first encrypted value is needed.
final class PSKCEncryption {
  private let encryptionKey: XMLElement?
  private let authentication: XMLElement?
  private let unlock: (KeyFileLock) throws -> SecretBuffer
  /// Nil before it is asked for.
  private var key: SharedBytes?
  private var authenticationKey: SharedBytes?
  /// Whether a MAC or a wrapped key proved that the key is right.
  private(set) var isProved = false
  /// Whether a MAC or a wrapped key did not fit.
  private(set) var hasMismatch = false

  init(
    _ container: XMLElement, unlock: @escaping (KeyFileLock) throws -> SecretBuffer
  ) throws(FormatProblem) {
    encryptionKey = try container.child("EncryptionKey")
    authentication = try container.child("MACMethod")
    self.unlock = unlock
  }

  var wrongKey: FormatProblem {
    FormatProblem(
      "the \(isDerived ? "passphrase" : "key") does not fit: no MAC of the file is right",
      hint: "it is wrong, or the file was changed or damaged; ask the sender of the file")
  }

  private var isDerived: Bool { encryptionKey?.children.contains { $0.name == "DerivedKey" } ?? false }

  /// Checks the ValueMAC of a value, then decrypts its child EncryptedValue.
  func decrypt(_ value: XMLElement) throws -> SharedBytes {
    guard let encrypted = try value.child("EncryptedValue") else { throw FormatProblem("EncryptedValue is missing") }
    try requireSymmetry()
    let cipher = try PSKCCipher(of: encrypted)
    let ciphertext = try Self.ciphertext(of: encrypted)
    let mac = try value.child("ValueMAC")
    // RFC 6030 section 6.1.1 requires a MAC unless the cipher protects integrity: a wrong key, or a changed file, would
    // give another secret.
    guard mac != nil || cipher.isAuthenticated else {
      throw FormatProblem(
        "\(value.name) is encrypted without a ValueMAC, so a wrong key or a changed file would go unnoticed",
        hint: "export the file again with a MAC, or without encryption")
    }
    let key = try encryptionKey(for: cipher)
    if let mac { try check(mac, over: ciphertext, cipher) }
    guard let plain = try cipher.decrypt(ciphertext, key) else {
      hasMismatch = true
      throw FormatProblem("\(value.name) cannot be decrypted with this key")
    }
    isProved = true
    return plain
  }

  private func check(_ mac: XMLElement, over ciphertext: SharedBytes, _ cipher: PSKCCipher) throws {
    guard let authentication else { throw FormatProblem("ValueMAC needs a MACMethod, which is missing") }
    let digest = try PSKCDigest(ofMAC: authentication.attribute("algorithm"), "MACMethod")
    let expected = try SharedBytes(base64: mac)
    let key = try authenticationKey(authentication, cipher)
    guard try digest.authenticate(ciphertext, key).isEqual(to: expected) else {
      hasMismatch = true
      throw FormatProblem("its ValueMAC is wrong: the file was changed or damaged")
    }
  }

  /// MACKey is encrypted with the encryption key. Older files have none, and use the encryption key itself.
  private func authenticationKey(_ method: XMLElement, _ cipher: PSKCCipher) throws -> SharedBytes {
    if let authenticationKey { return authenticationKey }
    guard let element = try method.child("MACKey") else { return try encryptionKey(for: cipher) }
    let wrapping = try PSKCCipher(of: element)
    let ciphertext = try Self.ciphertext(of: element)
    guard let plain = try wrapping.decrypt(ciphertext, encryptionKey(for: wrapping)) else {
      throw KeyProblem(problem: wrongKey)
    }
    authenticationKey = plain
    return plain
  }

  /// A problem of the key or passphrase, which concerns every key of the container.
  struct KeyProblem: Error { let problem: FormatProblem }

  private func requireSymmetry() throws(FormatProblem) {
    let isAsymmetric = encryptionKey?.children.contains {
      ["X509Data", "KeyValue", "EncryptedKey", "PGPData", "RetrievalMethod"].contains($0.name)
    }
    guard isAsymmetric != true else {
      throw FormatProblem(
        "the keys are encrypted for a certificate, which is not supported",
        hint: "ask the sender for a file with a pre-shared key or a passphrase")
    }
  }

  private func encryptionKey(for cipher: PSKCCipher) throws -> SharedBytes {
    if let key {
      guard key.count == cipher.keyLength else {
        throw FormatProblem("its values are encrypted with ciphers of different key lengths")
      }
      return key
    }
    guard cpskc_can_decrypt() != 0 else { throw MissingLibrary.crypto }
    guard let encryptionKey else { throw FormatProblem("EncryptionKey is missing") }
    let derivation = try encryptionKey.child("DerivedKey").map { derived throws(FormatProblem) in
      try PSKCKeyDerivation(derived, length: cipher.keyLength)
    }
    let name = try encryptionKey.child("KeyName")?.text
    let typed = try SharedBytes(
      unlock(derivation == nil ? .presharedKey(length: cipher.keyLength, name: name) : .passphrase))
    do throws(FormatProblem) {
      let new: SharedBytes
      if let derivation {
        new = try derivation.key(from: typed)
      } else {
        new = try Self.presharedKey(typed, cipher.keyLength)
      }
      key = new
      return new
    } catch {
      throw KeyProblem(problem: error)
    }
  }

  /// Parses hexadecimal or Base64 of this many bytes.
  private static func presharedKey(_ typed: SharedBytes, _ length: Int) throws(FormatProblem) -> SharedBytes {
    let readings = typed.withBytes { typed in [try? SharedBytes(hexadecimal: typed), try? SharedBytes(base64: typed)] }
    for case let key? in readings where key.count == length { return key }
    throw FormatProblem("the key must have \(length) bytes: \(2 * length) hexadecimal digits, or Base64")
  }

  private static func ciphertext(of encrypted: XMLElement) throws(FormatProblem) -> SharedBytes {
    guard let value = try encrypted.child("CipherData")?.child("CipherValue") else {
      throw FormatProblem("CipherValue is missing")
    }
    return try SharedBytes(base64: value)
  }
}

extension MissingLibrary {
  static let crypto = MissingLibrary(
    file: "libcrypto.so.3", use: "decrypts PSKC files", name: "OpenSSL", debianPackage: "libssl3")
}
