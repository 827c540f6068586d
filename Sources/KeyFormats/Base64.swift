import FixedMemory

/// Base64 as people copy it: both alphabets of RFC 4648 sections 4 and 5, with or without padding, with blanks.
enum Base64 {
  /// Appends the decoded bytes. Returns false if the text is invalid, or the bytes do not fit. Ignores leftover bits.
  static func decode(_ text: Span<UInt8>, into output: inout SecretBuffer) -> Bool {
    guard isValid(text) else { return false }
    var bits: UInt32 = 0
    var bitCount: UInt32 = 0
    for index in text.indices {
      guard let value = value(of: text[index]) else { continue }
      bits = bits << 6 | value
      bitCount += 6
      guard bitCount >= 8 else { continue }
      bitCount -= 8
      guard output.append(UInt8(truncatingIfNeeded: bits >> bitCount)) else { return false }
    }
    return true
  }

  /// Whether the text consists of whole bytes, with at most as much padding as they need.
  static func isValid(_ text: Span<UInt8>) -> Bool {
    var count = 0
    var padding = 0
    for index in text.indices where !text[index].isBlank {
      if text[index] == UInt8(ascii: "=") {
        padding += 1
      } else {
        guard padding == 0, value(of: text[index]) != nil else { return false }
        count += 1
      }
    }
    return count % 4 != 1 && (padding == 0 || (padding <= 2 && (count + padding) % 4 == 0))
  }

  /// Nil if the byte is in neither alphabet.
  static func value(of byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - UInt8(ascii: "a")) + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0")) + 52
    case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
    case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
    default: nil
    }
  }
}
