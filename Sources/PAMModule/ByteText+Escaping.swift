internal import FixedMemory

extension ByteText {
  /// Appends an untrusted value that cannot forge a log field or a terminal escape sequence: blanks, quotes,
  /// backslashes and everything but printable ASCII become `\xHH`. An empty value becomes `-`. Truncates after `room`
  /// characters, but not in the last escape.
  mutating func append(escaped bytes: Span<UInt8>, upTo room: Int = 1024) {
    guard bytes.count > 0 else {
      append("-")
      return
    }
    let end = count &+ room
    var (start, index) = (0, 0)
    while count &+ (index &- start) < end, let byte = bytes.byte(at: index) {
      if !Self.isPlain(byte) {
        append(bytes.slice(from: start, to: index))
        append(escaped: byte)
        start = index &+ 1
      }
      index &+= 1
    }
    append(bytes.slice(from: start, to: index))
  }

  /// Appends ` detail="…"`, without escaping blanks.
  mutating func append(detail: borrowing ByteText) {
    append(" detail=\"")
    var indices = Counter(to: detail.count)
    while let index = indices.next() {
      let byte = detail.bytes.byte(at: index) ?? 0
      if Self.isPlain(byte) || byte == UInt8(ascii: " ") { append(byte) } else { append(escaped: byte) }
    }
    append("\"")
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "\\") && byte != UInt8(ascii: "\"")
  }

  private mutating func append(escaped byte: UInt8) {
    append("\\x")
    append(hexDigit: byte &>> 4)
    append(hexDigit: byte & 15)
  }

  private mutating func append(hexDigit value: UInt8) {
    append(value < 10 ? UInt8(ascii: "0") &+ value : UInt8(ascii: "a") &+ (value &- 10))
  }
}
