import FixedMemory
import OneTimePassword

/// A shared secret, wiped with the last reference.
package final class SharedKey {
  private let buffer: SecretBuffer

  package init(_ buffer: consuming SecretBuffer) throws(FormatProblem) {
    guard buffer.count > 0 else { throw FormatProblem("the key is empty") }
    let shortest = SharedSecret.lengths.lowerBound
    guard buffer.count >= shortest else {
      throw FormatProblem(
        "the key has \(buffer.count) bytes, which is too short to be safe; the minimum is \(shortest)")
    }
    self.buffer = buffer
  }

  /// Parses Base32 in any case, with blanks and dashes, and `=` at the end. Ignores leftover bits. With
  /// `readsDigitsAsLetters`, 0, 1 and 8 mean O, L and B, as in google-authenticator's module.
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

  /// Parses hexadecimal in any case, with blanks, dashes and colons.
  package convenience init(hexadecimal text: Span<UInt8>) throws(FormatProblem) {
    var buffer = try Self.room()
    var high: UInt8?
    for index in text.indices {
      let byte = text[index]
      if byte.isBlank || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ":") { continue }
      guard let value = byte.lowercased.hexDigit else { throw FormatProblem("the key is not hexadecimal") }
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

  /// Parses Base64, with blanks and with or without padding. Ignores leftover bits.
  package convenience init(base64 text: Span<UInt8>) throws(FormatProblem) {
    guard Base64.isValid(text) else { throw FormatProblem("the key is not Base64") }
    var buffer = try Self.room()
    guard Base64.decode(text, into: &buffer) else { throw .keyIsTooLong }
    try self.init(buffer)
  }

  /// Parses Base32, hexadecimal or Base64. A prefix `base32:`, `hex:`, `0x` or `base64:` names the encoding. Without
  /// it, a key that is valid in two encodings is rejected.
  package static func typed(_ text: Span<UInt8>) throws(FormatProblem) -> SharedKey {
    for prefix in ["hex:", "0x"] where text.begins(with: prefix) {
      return try SharedKey(hexadecimal: text.slice(from: prefix.utf8.count))
    }
    if text.begins(with: "base32:") { return try SharedKey(base32: text.slice(from: 7)) }
    if text.begins(with: "base64:") { return try SharedKey(base64: text.slice(from: 7)) }

    let shape = TypedShape(text)
    switch (shape.isBase32, shape.isHexadecimal, shape.mayBeBase64) {
    case (true, true, _) where text.count > 0:
      throw FormatProblem(
        "the key is valid both as Base32 and as hexadecimal", hint: "type base32: or hex: before the key")
    case (true, false, true):
      throw FormatProblem(
        "the key is valid both as Base32 and as Base64", hint: "type base32: or base64: before the key")
    case (false, true, _): return try SharedKey(hexadecimal: text)
    case (false, false, true) where shape.isBase64: return try SharedKey(base64: text)
    case (false, false, _):
      throw FormatProblem(
        "the key is neither Base32 nor hexadecimal nor Base64",
        hint: Base64.isValid(text) ? "if it is Base64, type base64: before the key" : nil)
    default: return try SharedKey(base32: text)
    }
  }

  /// The encodings that a typed key can have.
  private struct TypedShape {
    var isBase32 = true
    var isHexadecimal = true
    /// Whether it is valid Base64 with letters of both cases: only one in ten thousand keys in Base64 lacks them. Keys
    /// in Base32 and hexadecimal are valid Base64 too, but people type them in one case.
    let mayBeBase64: Bool
    /// Whether it cannot be Base32 with a mistyped digit.
    let isBase64: Bool

    init(_ text: Span<UInt8>) {
      var (upper, lower) = (0, 0)
      for index in text.indices {
        let byte = text[index]
        if byte.lowercased != byte { upper += 1 }
        if byte >= UInt8(ascii: "a"), byte <= UInt8(ascii: "z") { lower += 1 }
        if byte.isBlank || byte == UInt8(ascii: "-") { continue }
        isBase32 = isBase32 && (byte == UInt8(ascii: "=") || base32Value(byte, false) != nil)
        isHexadecimal = isHexadecimal && (byte == UInt8(ascii: ":") || byte.lowercased.hexDigit != nil)
      }
      mayBeBase64 = upper > 0 && lower > 0 && Base64.isValid(text)
      isBase64 = mayBeBase64 && upper > 1 && lower > 1
    }
  }

  package func withBytes<Result: ~Copyable>(_ body: (Span<UInt8>) throws -> Result) rethrows -> Result {
    try buffer.withBytes(body)
  }

  /// Nil if memory is short.
  package func sharedSecret(_ algorithm: HashAlgorithm) -> SharedSecret? {
    withBytes { SharedSecret($0, algorithm: algorithm) }
  }

  /// Upper case, without padding.
  package var base32: String {
    withBytes { bytes in
      guard var text = SecretBuffer(capacity: 2 * bytes.count), Base32.encode(bytes, into: &text) else { return "" }
      return text.withBytes { $0.text(0..<$0.count) ?? "" }
    }
  }

  package func isEqual(to other: SharedKey) -> Bool { other.withBytes { isEqual(to: $0) } }

  package func isEqual(to other: Span<UInt8>) -> Bool { withBytes { $0.isEqualInConstantTime(to: other) } }

  private static func room() throws(FormatProblem) -> SecretBuffer {
    guard let buffer = SecretBuffer(capacity: SharedSecret.lengths.upperBound) else {
      throw .outOfMemory
    }
    return buffer
  }

  private static func add(_ byte: UInt8, to buffer: inout SecretBuffer) throws(FormatProblem) {
    guard buffer.append(byte) else {
      throw .keyIsTooLong
    }
  }

  private static func base32Value(_ byte: UInt8, _ readsDigitsAsLetters: Bool) -> UInt32? {
    switch byte.lowercased {
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
}

extension FormatProblem {
  static let keyIsTooLong = FormatProblem(
    "the key is longer than \(SharedSecret.lengths.upperBound) bytes")
}

extension SecretBuffer {
  /// Lends the bytes of a buffer that an object stores.
  borrowing func withBytes<Result: ~Copyable>(
    _ body: (Span<UInt8>) throws -> Result
  ) rethrows -> Result { try body(bytes) }
}
