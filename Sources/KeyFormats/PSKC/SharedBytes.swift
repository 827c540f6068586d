import FixedMemory

/// Secret bytes, wiped with the last reference.
final class SharedBytes {
  private let buffer: SecretBuffer

  init(_ buffer: consuming SecretBuffer) { self.buffer = buffer }

  convenience init(copying bytes: Span<UInt8>) throws(FormatProblem) {
    guard var buffer = SecretBuffer(capacity: bytes.count), buffer.append(bytes) else { throw .outOfMemory }
    self.init(buffer)
  }

  /// Decodes Base64 (RFC 4648 section 4, not 5) with blanks and line ends.
  convenience init(base64 text: Span<UInt8>) throws(FormatProblem) {
    guard let decoded = try Self.decoded(text) else { throw FormatProblem("it is not Base64") }
    self.init(decoded)
  }

  convenience init(base64 element: XMLElement) throws(FormatProblem) {
    guard let decoded = (try? element.withText { try Self.decoded($0) }) ?? nil else {
      throw FormatProblem("\(element.name) is not Base64")
    }
    self.init(decoded)
  }

  private static func decoded(_ text: Span<UInt8>) throws(FormatProblem) -> SecretBuffer? {
    guard var buffer = SecretBuffer(capacity: text.count / 4 * 3 + 3) else { throw .outOfMemory }
    var (bits, letters, padding): (UInt32, Int, Int) = (0, 0, 0)
    for index in text.indices {
      let byte = text[index]
      if byte.isXMLBlank { continue }
      if byte == UInt8(ascii: "=") {
        padding += 1
        continue
      }
      guard padding == 0, byte != UInt8(ascii: "-"), byte != UInt8(ascii: "_"), let value = Base64.value(of: byte)
      else { return nil }
      bits = bits << 6 | value
      letters += 1
      if letters % 4 != 1 { _ = buffer.append(UInt8(truncatingIfNeeded: bits >> [0, 0, 4, 2][letters % 4])) }
    }
    let isComplete = padding == 0 || padding < 3 && (letters + padding) % 4 == 0
    guard isComplete, letters % 4 != 1 else { return nil }
    return buffer
  }

  /// Decodes hexadecimal in any case, with blanks, dashes and colons, and with `0x` before it.
  convenience init(hexadecimal text: Span<UInt8>) throws(FormatProblem) {
    guard var buffer = SecretBuffer(capacity: text.count / 2 + 1) else { throw .outOfMemory }
    var high: UInt8?
    for index in (text.begins(with: "0x") ? 2 : 0)..<text.count {
      let byte = text[index]
      if byte.isBlank || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ":") { continue }
      guard let value = byte.lowercased.hexDigit else { throw FormatProblem("it is not hexadecimal") }
      if let first = high { _ = buffer.append(first << 4 | value) }
      high = high == nil ? value : nil
    }
    guard high == nil else { throw FormatProblem("it has an odd number of hexadecimal digits") }
    self.init(buffer)
  }

  var count: Int { buffer.count }

  func withBytes<Result: ~Copyable>(_ body: (Span<UInt8>) throws -> Result) rethrows -> Result {
    try buffer.withBytes(body)
  }

  func isEqual(to other: SharedBytes) -> Bool {
    withBytes { bytes in other.withBytes { bytes.isEqualInConstantTime(to: $0) } }
  }
}
