internal import CPSKC
import FixedMemory

/// A cipher of XML Encryption (sections 5.2 and 5.6).
struct PSKCCipher {
  let keyLength: Int
  /// Whether decryption fails with a wrong key or another ciphertext.
  let isAuthenticated: Bool
  /// OpenSSL's names; the second is tried if the first fails.
  private let names: [String]
  private let blockLength: Int

  init(of encrypted: XMLElement) throws(FormatProblem) {
    let algorithm = try encrypted.child("EncryptionMethod")?.attribute("algorithm")
    guard let algorithm else { throw FormatProblem("EncryptionMethod without Algorithm") }
    let name = algorithm.split(separator: "#").last.map { $0.lowercased() } ?? ""
    switch name {
    case "aes128-cbc", "aes192-cbc", "aes256-cbc":
      let bits = name.dropFirst(3).prefix(3)
      self.init(keyLength: bits == "128" ? 16 : bits == "192" ? 24 : 32, block: 16, ["AES-\(bits)-CBC"])
    case "tripledes-cbc": self.init(keyLength: 24, block: 8, ["DES-EDE3-CBC"])
    case "kw-aes128", "kw-aes192", "kw-aes256":
      let bits = name.suffix(3)
      // Some programs pad as RFC 5649 says, because RFC 3394 needs a multiple of eight bytes.
      self.init(
        keyLength: bits == "128" ? 16 : bits == "192" ? 24 : 32, block: 0,
        ["id-aes\(bits)-wrap", "id-aes\(bits)-wrap-pad"])
    default:
      throw FormatProblem("the encryption\(name.pskcName) is not supported")
    }
  }

  private init(keyLength: Int, block: Int, _ names: [String]) {
    self.keyLength = keyLength
    self.names = names
    blockLength = block
    isAuthenticated = block == 0
  }

  /// Nil if the key does not fit. The initialization vector precedes the ciphertext.
  func decrypt(_ input: SharedBytes, _ key: SharedBytes) throws(FormatProblem) -> SharedBytes? {
    guard input.count >= max(2 * blockLength, 16), input.count % 8 == 0, key.count == keyLength else {
      throw FormatProblem("an encrypted value is truncated")
    }
    for name in names {
      guard var output = SecretBuffer(capacity: input.count) else { throw .outOfMemory }
      let start = blockLength
      let length = input.withBytes { input in
        key.withBytes { key in
          // SAFETY: the vector has a block, and the output as many bytes as the input.
          unsafe output.fill { output in
            unsafe input.withUnsafeBytes { input in
              unsafe key.withUnsafeBytes { key in
                let bytes = unsafe input.bindMemory(to: UInt8.self).baseAddress
                return unsafe cpskc_decrypt(
                  name, key.bindMemory(to: UInt8.self).baseAddress, start > 0 ? bytes : nil,
                  bytes.map { unsafe $0 + start },
                  input.count - start, output.bindMemory(to: UInt8.self).baseAddress)
              }
            }
          }
        }
      }
      guard length > 0 else { continue }
      guard blockLength > 0 else { return SharedBytes(output) }
      // The last byte counts the padding; XML Encryption leaves its other bytes open.
      let padding = Int(output.bytes[length - 1])
      guard padding >= 1, padding <= blockLength, padding <= length else { return nil }
      return try SharedBytes(copying: output.bytes.slice(from: 0, to: length - padding))
    }
    return nil
  }
}

/// A hash function of a MAC or of PBKDF2.
struct PSKCDigest {
  /// OpenSSL's name.
  let name: String

  /// Parses an algorithm like `http://www.w3.org/2000/09/xmldsig#hmac-sha1`.
  init(ofMAC algorithm: String?, _ element: String) throws(FormatProblem) {
    let short = algorithm?.split(separator: "#").last.map { $0.lowercased() } ?? ""
    let names = [
      "hmac-sha1": "SHA1", "hmac-sha224": "SHA2-224", "hmac-sha256": "SHA2-256", "hmac-sha384": "SHA2-384",
      "hmac-sha512": "SHA2-512",
    ]
    guard let name = names[short] else {
      throw FormatProblem("the algorithm\(short.pskcName) of \(element) is not supported")
    }
    self.name = name
  }

  func authenticate(_ text: SharedBytes, _ key: SharedBytes) throws(FormatProblem) -> SharedBytes {
    guard var output = SecretBuffer(capacity: 64) else { throw .outOfMemory }
    let length = text.withBytes { text in
      key.withBytes { key in
        // SAFETY: the functions get the sizes of the memory; a hash has at most 64 bytes.
        unsafe output.fill { output in
          unsafe text.withUnsafeBytes { text in
            unsafe key.withUnsafeBytes { key in
              unsafe cpskc_authenticate(
                name, key.bindMemory(to: UInt8.self).baseAddress, key.count,
                text.bindMemory(to: UInt8.self).baseAddress, text.count,
                output.bindMemory(to: UInt8.self).baseAddress)
            }
          }
        }
      }
    }
    guard length > 0 else { throw FormatProblem("libcrypto cannot compute the MAC") }
    return SharedBytes(output)
  }
}

/// PBKDF2 (RFC 8018 section 5.2) with the parameters of a DerivedKey.
struct PSKCKeyDerivation {
  /// These take a few seconds.
  private static let mostIterations = 10_000_000

  private let digest: PSKCDigest
  private let salt: SharedBytes
  private let iterations: Int
  private let length: Int

  init(_ derived: XMLElement, length: Int) throws(FormatProblem) {
    guard let method = try derived.child("KeyDerivationMethod") else {
      throw FormatProblem("KeyDerivationMethod is missing")
    }
    let name = method.attribute("algorithm")?.split(separator: "#").last.map { $0.lowercased() } ?? ""
    guard name == "pbkdf2" else { throw FormatProblem("the key derivation\(name.pskcName) is not supported") }
    guard let parameters = try method.child("PBKDF2-params"),
      let salt = try parameters.child("Salt")?.child("Specified"),
      let iterations = try parameters.child("IterationCount")?.text.flatMap(Int.init), iterations > 0
    else { throw FormatProblem("PBKDF2-params lack Salt or IterationCount") }
    guard iterations <= Self.mostIterations else {
      throw FormatProblem("an IterationCount above \(Self.mostIterations) is not supported")
    }
    if let keyLength = try parameters.child("KeyLength") {
      guard keyLength.text.flatMap(Int.init) == length else {
        throw FormatProblem("KeyLength does not fit the cipher, whose key has \(length) bytes")
      }
    }
    // The default of PKCS #5 is HMAC-SHA1.
    let function = try parameters.child("PRF")?.attribute("algorithm")
    digest = try PSKCDigest(ofMAC: function ?? "#hmac-sha1", "PRF")
    self.salt = try SharedBytes(base64: salt)
    self.iterations = iterations
    self.length = length
  }

  func key(from passphrase: SharedBytes) throws(FormatProblem) -> SharedBytes {
    guard var output = SecretBuffer(capacity: length) else { throw .outOfMemory }
    let filled = passphrase.withBytes { passphrase in
      salt.withBytes { salt in
        // SAFETY: the function gets the sizes of the memory; the output has `length` bytes.
        unsafe output.fill { output in
          unsafe passphrase.withUnsafeBytes { passphrase in
            unsafe salt.withUnsafeBytes { salt in
              let done = unsafe cpskc_derive(
                digest.name, passphrase.bindMemory(to: CChar.self).baseAddress, passphrase.count,
                salt.bindMemory(to: UInt8.self).baseAddress, salt.count, Int32(iterations),
                output.bindMemory(to: UInt8.self).baseAddress, length)
              return done == 1 ? length : -1
            }
          }
        }
      }
    }
    guard filled == length else { throw FormatProblem("libcrypto cannot derive the key") }
    return SharedBytes(output)
  }
}

extension String {
  /// The text after a blank, for messages; empty if it is not a short plain name.
  fileprivate var pskcName: String {
    let isPlain =
      (1...32).contains(utf8.count) && allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_".contains($0)) }
    return isPlain ? " \(self)" : ""
  }
}
