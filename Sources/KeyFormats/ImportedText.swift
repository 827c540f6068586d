import FixedMemory

/// Converts the encodings that editors and other systems save text in.
package enum ImportedText {
  /// Converts UTF-16 to UTF-8, and removes a byte order mark. UTF-16 without byte order mark is detected by its NUL
  /// bytes. Text in an 8-bit encoding stays as it is: keys and names of parameters are ASCII.
  ///
  /// - Returns: The text in UTF-8; nil if the bytes are usable as they are.
  package static func decoded(_ bytes: Span<UInt8>) throws(FormatProblem) -> SecretBuffer? {
    if starts(bytes, with: [0xEF, 0xBB, 0xBF]) { return try copy(of: bytes.slice(from: 3)) }
    if starts(bytes, with: [0xFF, 0xFE, 0, 0]) || starts(bytes, with: [0, 0, 0xFE, 0xFF]) {
      throw FormatProblem(
        "text in UTF-32 is not supported", hint: "convert it: iconv -f UTF-32 -t UTF-8 FILE > NEW-FILE")
    }
    if starts(bytes, with: [0xFF, 0xFE]) { return try decodedUTF16(bytes.slice(from: 2), isBigEndian: false) }
    if starts(bytes, with: [0xFE, 0xFF]) { return try decodedUTF16(bytes.slice(from: 2), isBigEndian: true) }
    for isBigEndian in [false, true] where looksLikeUTF16(bytes, isBigEndian: isBigEndian) {
      return try decodedUTF16(bytes, isBigEndian: isBigEndian)
    }
    return nil
  }

  private static func starts(_ bytes: Span<UInt8>, with mark: [UInt8]) -> Bool {
    bytes.count >= mark.count && mark.indices.allSatisfy { bytes[$0] == mark[$0] }
  }

  private static func copy(of bytes: Span<UInt8>) throws(FormatProblem) -> SecretBuffer {
    guard var text = SecretBuffer(capacity: bytes.count), text.append(bytes) else { throw .outOfMemory }
    return text
  }

  /// Whether the text begins with two ASCII characters in UTF-16, contains no NUL character, and is mostly ASCII.
  private static func looksLikeUTF16(_ bytes: Span<UInt8>, isBigEndian: Bool) -> Bool {
    guard bytes.count >= 4, bytes.count % 2 == 0 else { return false }
    var zeros = 0
    for index in stride(from: 0, to: bytes.count, by: 2) {
      let high = bytes[isBigEndian ? index : index + 1]
      let low = bytes[isBigEndian ? index + 1 : index]
      guard high != 0 || low != 0, index >= 4 || high == 0 else { return false }
      if high == 0 { zeros += 1 }
    }
    return zeros >= bytes.count / 4
  }

  private static func decodedUTF16(
    _ bytes: Span<UInt8>, isBigEndian: Bool
  ) throws(FormatProblem) -> SecretBuffer {
    let problem = FormatProblem("the text is invalid UTF-16")
    // A code unit becomes at most three bytes.
    guard bytes.count % 2 == 0 else { throw problem }
    guard var text = SecretBuffer(capacity: bytes.count / 2 * 3) else { throw .outOfMemory }
    func unit(_ index: Int) -> UInt32 {
      isBigEndian
        ? UInt32(bytes[index]) << 8 | UInt32(bytes[index + 1]) : UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index])
    }
    var index = 0
    while index < bytes.count {
      var value = unit(index)
      index += 2
      if value & 0xFC00 == 0xD800, index < bytes.count, unit(index) & 0xFC00 == 0xDC00 {
        value = 0x10000 + (value & 0x3FF) << 10 + unit(index) & 0x3FF
        index += 2
      }
      guard let scalar = Unicode.Scalar(value), let encoded = UTF8.encode(scalar) else { throw problem }
      for byte in encoded where !text.append(byte) { throw .outOfMemory }
    }
    return text
  }
}
