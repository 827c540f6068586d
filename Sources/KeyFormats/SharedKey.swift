import FixedMemory
import OneTimePassword

/// The shared secret of a device as it was found in the text of another program: its bytes, wiped when nobody
/// needs them any more.
package final class SharedKey {
  private let buffer: SecretBuffer

  private init(_ buffer: consuming SecretBuffer) throws(FormatProblem) {
    guard buffer.count > 0 else { throw FormatProblem("there is no key") }
    guard buffer.count >= SharedSecret.lengths.lowerBound else {
      throw FormatProblem(
        "the key has \(buffer.count) bytes, which is too short to be safe: \(SharedSecret.lengths.lowerBound) is the least"
      )
    }
    self.buffer = buffer
  }

  /// Reads Base32 as people and programs write it: in any case, with blanks and dashes between the characters and
  /// with `=` at the end. Bits that make no whole byte do not count, whatever they are.
  ///
  /// - Parameters:
  ///   - text: The key.
  ///   - readsDigitsAsLetters: Whether 0, 1 and 8 are read as O, L and B, as google-authenticator's module does.
  /// - Throws: What is wrong with it.
  package convenience init(base32 text: Span<UInt8>, readsDigitsAsLetters: Bool = false) throws(FormatProblem) {
    var buffer = try Self.room()
    var bits: UInt32 = 0
    var bitCount: UInt32 = 0
    var hasEnded = false
    for index in text.indices {
      let byte = text[index]
      if byte.isBlank || byte == UInt8(ascii: "-") { continue }
      if byte == UInt8(ascii: "=") {
        hasEnded = true
        continue
      }
      guard !hasEnded, let value = Self.base32Value(byte, readsDigitsAsLetters) else {
        throw FormatProblem("the key is not Base32")
      }
      bits = bits << 5 | value
      bitCount += 5
      if bitCount >= 8 {
        bitCount -= 8
        try Self.add(UInt8(truncatingIfNeeded: bits >> bitCount), to: &buffer)
      }
    }
    try self.init(buffer)
  }

  /// Reads hexadecimal digits, in any case, with blanks, dashes and colons between them.
  ///
  /// - Parameter text: The key.
  /// - Throws: What is wrong with it.
  package convenience init(hexadecimal text: Span<UInt8>) throws(FormatProblem) {
    var buffer = try Self.room()
    var high: UInt8?
    for index in text.indices {
      let byte = text[index]
      if byte.isBlank || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ":") { continue }
      guard let value = Self.lowered(byte).hexDigit else { throw FormatProblem("the key is not hexadecimal") }
      if let first = high {
        try Self.add(first << 4 | value, to: &buffer)
        high = nil
      } else {
        high = value
      }
    }
    guard high == nil else { throw FormatProblem("the key has an odd number of hexadecimal digits") }
    try self.init(buffer)
  }

  /// Reads a key that a person typed, in Base32 or in hexadecimal, whichever it can be.
  ///
  /// - Parameter text: The key; `base32:` or `hex:` before it says what it is, and so does `0x`.
  /// - Returns: The key.
  /// - Throws: What is wrong with it.
  package static func typed(_ text: Span<UInt8>) throws(FormatProblem) -> SharedKey {
    for prefix in ["hex:", "0x"] where begins(text, prefix) {
      return try SharedKey(hexadecimal: text.slice(from: prefix.utf8.count))
    }
    let prefix = "base32:"
    if begins(text, prefix) { return try SharedKey(base32: text.slice(from: prefix.utf8.count)) }

    var isBase32 = true
    var isHexadecimal = true
    for index in text.indices {
      let byte = text[index]
      if byte.isBlank || byte == UInt8(ascii: "-") { continue }
      isBase32 = isBase32 && (byte == UInt8(ascii: "=") || base32Value(byte, false) != nil)
      isHexadecimal = isHexadecimal && (byte == UInt8(ascii: ":") || lowered(byte).hexDigit != nil)
    }
    switch (isBase32, isHexadecimal) {
    case (true, true) where text.count > 0:
      throw FormatProblem(
        "the key can be read as Base32 and as hexadecimal", hint: "say which it is: base32: or hex: before the key")
    case (false, false): throw FormatProblem("the key is neither Base32 nor hexadecimal")
    case (false, true): return try SharedKey(hexadecimal: text)
    default: return try SharedKey(base32: text)
    }
  }

  /// The key ready for codes; nil where there is no memory.
  package func sharedSecret(_ algorithm: HashAlgorithm) -> SharedSecret? {
    buffer.sharedSecret(algorithm)
  }

  /// The key in Base32, the way the project writes it.
  package var base32: String { buffer.base32 }

  /// Whether two devices would have the same key.
  package func isEqual(to other: SharedKey) -> Bool { other.buffer.withBytes { buffer.isEqual($0) } }

  private static func room() throws(FormatProblem) -> SecretBuffer {
    guard let buffer = SecretBuffer(capacity: SharedSecret.lengths.upperBound) else {
      throw FormatProblem("out of memory")
    }
    return buffer
  }

  private static func add(_ byte: UInt8, to buffer: inout SecretBuffer) throws(FormatProblem) {
    guard buffer.append(byte) else {
      throw FormatProblem("the key is longer than \(SharedSecret.lengths.upperBound) bytes")
    }
  }

  private static func base32Value(_ byte: UInt8, _ readsDigitsAsLetters: Bool) -> UInt32? {
    switch lowered(byte) {
    case let letter where letter >= UInt8(ascii: "a") && letter <= UInt8(ascii: "z"):
      UInt32(letter - UInt8(ascii: "a"))
    case let digit where digit >= UInt8(ascii: "2") && digit <= UInt8(ascii: "7"):
      UInt32(digit - UInt8(ascii: "2")) + 26
    case UInt8(ascii: "0") where readsDigitsAsLetters: 14
    case UInt8(ascii: "1") where readsDigitsAsLetters: 11
    case UInt8(ascii: "8") where readsDigitsAsLetters: 1
    default: nil
    }
  }

  private static func begins(_ text: Span<UInt8>, _ prefix: String) -> Bool {
    guard text.count >= prefix.utf8.count else { return false }
    for (index, byte) in prefix.utf8.enumerated() where lowered(text[index]) != byte { return false }
    return true
  }

  private static func lowered(_ byte: UInt8) -> UInt8 {
    byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
  }
}

extension SecretBuffer {
  fileprivate borrowing func sharedSecret(_ algorithm: HashAlgorithm) -> SharedSecret? {
    SharedSecret(bytes, algorithm: algorithm)
  }

  fileprivate var base32: String {
    guard var text = SecretBuffer(capacity: 2 * count), Base32.encode(bytes, into: &text) else { return "" }
    return unsafe text.bytes.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
  }

  fileprivate borrowing func withBytes<Result>(_ body: (Span<UInt8>) -> Result) -> Result { body(bytes) }

  fileprivate borrowing func isEqual(_ other: Span<UInt8>) -> Bool { bytes.isEqualInConstantTime(to: other) }
}
