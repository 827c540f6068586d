internal import CPostgreSQL
internal import CSystem
package import Enrollment
package import FixedMemory
package import LoginPolicy

/// The keys that seal credentials before they leave the host, so that servers, standbys and backups contain no readable
/// shared secret: AES-256-GCM with the group of hosts, the user and the generation as additional data.
package final class SealingKeys {
  private static let keyLength = 32
  private static let idLength = 4
  private static let nonceLength = 12
  private static let tagLength = 16
  private static let version: UInt8 = 1
  private static let headLength = 1 + idLength + nonceLength

  /// All keys, concatenated.
  private let keys: SecretBuffer

  /// The IDs of the keys as hexadecimal digits, in the order of the file. The first key seals.
  package let ids: [String]

  /// For each key, whether it is marked as one that will seal later.
  package let isWaiting: [Bool]

  /// Reads the key file.
  package convenience init(path: String) throws(StoreProblem) {
    do throws(PolicyProblem) {
      try self.init(parsing: ProtectedFile.read(path))
    } catch {
      throw StoreProblem(error, in: path)
    }
  }

  /// Parses lines of 64 hexadecimal digits. A `+` before the digits marks a key that will seal later. Ignores empty
  /// lines.
  package init(parsing text: borrowing SecretBuffer) throws(PolicyProblem) {
    let bytes = text.bytes
    guard var keys = SecretBuffer(capacity: bytes.count / 2) else {
      throw PolicyProblem(inFile: "out of memory", error: .outOfMemory)
    }
    var isWaiting: [Bool] = []
    var lines = SettingLines()
    while let line = lines.next(in: bytes) {
      guard line.count > 0 else { continue }
      isWaiting.append(line.byte(at: 0) == UInt8(ascii: "+"))
      let digits = line.slice(from: isWaiting.last == true ? 1 : 0)
      guard digits.count == 2 * Self.keyLength, Self.append(digits, to: &keys) else {
        throw PolicyProblem("is not 64 hexadecimal digits", Literal("key").bytes, line: lines.number)
      }
    }
    guard keys.count > 0 else { throw PolicyProblem(inFile: "has no key") }
    var ids: [String] = []
    for start in stride(from: 0, to: keys.count, by: Self.keyLength) {
      let key = keys.bytes.slice(from: start, to: start + Self.keyLength)
      guard let id = Self.id(of: key) else { throw PolicyProblem(inFile: "cannot be used: libcrypto failed") }
      ids.append(id)
    }
    self.keys = keys
    self.ids = ids
    self.isWaiting = isWaiting
  }

  private static func append(_ digits: Span<UInt8>, to keys: inout SecretBuffer) -> Bool {
    var isValid = true
    for index in stride(from: 0, to: digits.count, by: 2) {
      let byte = Hexadecimal.value(digits[index], digits[index + 1])
      isValid = byte != nil && keys.append(byte ?? 0) && isValid
    }
    return isValid
  }

  private static func id(of key: Span<UInt8>) -> String? {
    var digest = InlineArray<32, UInt8>(repeating: 0)
    // SAFETY: the digest has 32 bytes.
    let isDone = unsafe withUnsafeMutableBytes(of: &digest) { digest in
      unsafe key.withUnsafeBufferPointer { key in
        unsafe cpostgresql_digest(key.baseAddress, key.count, digest.baseAddress?.assumingMemoryBound(to: UInt8.self))
      }
    }
    return isDone != 0 ? Hexadecimal.text(digest.span.slice(from: 0, to: idLength)) : nil
  }

  /// Seals a credential, and returns hexadecimal digits.
  package func seal(
    _ credential: Span<UInt8>, of user: String, in group: String, generation: Generation
  ) throws(EnrollmentFailure) -> String {
    guard var sealed = SecretBuffer(capacity: Self.headLength + credential.count + Self.tagLength) else {
      throw EnrollmentFailure(.io, "credential", "out of memory")
    }
    _ = sealed.append(Self.version)
    for byte in Hexadecimal.bytes(ids[0]) ?? [] { _ = sealed.append(byte) }
    let nonceStart = sealed.count
    // SAFETY: getentropy(3) gets the size of the nonce.
    let nonceCount = unsafe sealed.fill { free in
      unsafe getentropy(free.baseAddress, Self.nonceLength) == 0 ? Self.nonceLength : -1
    }
    guard nonceCount == Self.nonceLength else {
      throw EnrollmentFailure(.io, "credential", "no random numbers", error: .current)
    }
    let nonce = Array(copying: sealed.bytes.slice(from: nonceStart))
    let bound = Self.bound(user, group, generation)
    // SAFETY: C gets the sizes; the output has room for the credential and a tag.
    let isSealed = unsafe sealed.fill { free in
      unsafe keys.withMemory { keys in
        unsafe credential.withUnsafeBufferPointer { credential in
          unsafe cpostgresql_seal(
            keys.assumingMemoryBound(to: UInt8.self), nonce, bound, bound.count, credential.baseAddress,
            credential.count, free.baseAddress?.assumingMemoryBound(to: UInt8.self)) != 0
            ? credential.count + Self.tagLength : -1
        }
      }
    }
    guard isSealed > 0 else { throw EnrollmentFailure(.io, "credential", "cannot be sealed: libcrypto failed") }
    return Hexadecimal.text(sealed.bytes)
  }

  /// Opens sealed bytes.
  package func open(
    _ sealed: Span<UInt8>, of user: String, in group: String, generation: Generation
  ) throws(StoreProblem) -> SecretBuffer {
    guard sealed.count > Self.headLength + Self.tagLength else {
      throw StoreProblem(.corrupt, "credential: the sealed bytes are too short")
    }
    guard sealed.byte(at: 0) == Self.version else {
      throw StoreProblem(.corrupt, "credential: the seal has an unknown version")
    }
    let id = Hexadecimal.text(sealed.slice(from: 1, to: 1 + Self.idLength))
    guard ids.contains(id) else {
      throw StoreProblem(
        .configuration, "the enrollment is sealed with a key that this host does not have (ID \(id))")
    }
    let input = sealed.slice(from: Self.headLength)
    let nonce = Array(copying: sealed.slice(from: 1 + Self.idLength, to: Self.headLength))
    let bound = Self.bound(user, group, generation)
    for index in ids.indices where ids[index] == id {
      guard var opened = SecretBuffer(capacity: input.count - Self.tagLength) else {
        throw StoreProblem(.io, "credential: out of memory")
      }
      // SAFETY: C gets the sizes; the output has room for the input without its tag; each ID has a key.
      let length = unsafe opened.fill { free in
        unsafe keys.withMemory { keys in
          unsafe input.withUnsafeBufferPointer { input in
            unsafe cpostgresql_open(
              keys.assumingMemoryBound(to: UInt8.self) + index * Self.keyLength, nonce, bound, bound.count,
              input.baseAddress, input.count, free.baseAddress?.assumingMemoryBound(to: UInt8.self)) != 0
              ? input.count - Self.tagLength : -1
          }
        }
      }
      if length > 0 { return opened }
    }
    throw StoreProblem(
      .corrupt, "credential: the seal is broken: the row was damaged, or belongs to another user or generation")
  }

  /// The additional data.
  private static func bound(_ user: String, _ group: String, _ generation: Generation) -> [UInt8] {
    var bound = Array("twofactor-credential\0\(group)\0\(user)\0".utf8)
    for index in 0..<Generation.length { bound.append(generation.byte(at: index)) }
    return bound
  }
}

extension Array<UInt8> {
  init(copying bytes: Span<UInt8>) {
    self.init()
    reserveCapacity(bytes.count)
    for index in 0..<bytes.count { append(bytes[index]) }
  }
}
