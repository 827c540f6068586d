internal import CSystem

/// Access that cannot trap. A subscript outside its bounds ends the process, and the process that a PAM
/// module runs in is somebody's login; here what is outside is simply not there.
extension Span where Element == UInt8 {
  /// The byte at `index`, or nil where there is none.
  public func byte(at index: Int) -> UInt8? {
    guard index >= 0, index < count else { return nil }
    // SAFETY: the index was compared with both bounds.
    return unsafe self[unchecked: index]
  }

  /// The bytes of `range`, cut to those that there are.
  @inline(__always)
  @_lifetime(copy self)
  public func slice(from start: Int, to end: Int) -> Span<UInt8> {
    let first = Swift.min(Swift.max(start, 0), count)
    let last = Swift.min(Swift.max(end, first), count)
    // SAFETY: 0 <= first <= last <= count, and the part lives as long as the whole. A range would do, but its
    // length is computed with a trap. The address is a number here, so that nobody asks whether there is one: where
    // there is none, nothing is added to it.
    let part = unsafe withUnsafeBufferPointer { bytes in
      let address = Int(bitPattern: bytes.baseAddress) &+ first
      return unsafe UnsafeBufferPointer(start: UnsafePointer<UInt8>(bitPattern: address), count: last &- first)
    }
    return unsafe _overrideLifetime(part.span, copying: self)
  }

  /// The bytes from `start` to the end.
  @_lifetime(copy self)
  public func slice(from start: Int) -> Span<UInt8> {
    slice(from: start, to: count)
  }

  /// The position of the first `byte` at or after `start`, or nil.
  public func firstIndex(of byte: UInt8, from start: Int = 0) -> Int? {
    let first = Swift.max(start, 0)
    guard first < count else { return nil }
    return unsafe withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return nil }
      // SAFETY: what is searched lies between the first byte asked for and the end.
      guard let found = unsafe memchr(base + first, Int32(byte), bytes.count &- first) else { return nil }
      return unsafe UnsafeRawPointer(found) - base
    }
  }

  /// Whether the bytes are exactly those of `literal`. Stops at the first difference: not for secrets.
  public func isEqual(to literal: Literal) -> Bool {
    count == literal.byteCount && starts(with: literal)
  }

  /// Whether the bytes begin with those of `literal`. Stops at the first difference: not for secrets.
  public func starts(with literal: Literal) -> Bool { starts(with: literal, at: 0) }

  /// Whether the bytes from `offset` on begin with those of `literal`. Not for secrets either.
  public func starts(with literal: Literal, at offset: Int) -> Bool {
    guard offset >= 0, offset <= count, literal.byteCount <= count &- offset else { return false }
    let expected = unsafe literal.memory
    return unsafe withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress, let start = expected.baseAddress else { return true }
      // SAFETY: both have as many bytes as the literal.
      return unsafe memcmp(base + offset, start, expected.count) == 0
    }
  }

  /// Whether both hold the same bytes. Stops at the first difference: not for secrets.
  public func isEqual(to other: Span<UInt8>) -> Bool {
    guard count == other.count else { return false }
    return unsafe withUnsafeBytes { bytes in
      unsafe other.withUnsafeBytes { others in
        guard let base = bytes.baseAddress, let start = others.baseAddress else { return true }
        // SAFETY: both have `count` bytes.
        return unsafe memcmp(base, start, bytes.count) == 0
      }
    }
  }

  /// Whether so many bytes at two places are the same; false where there are not as many. Not for secrets either.
  public func isSame(at place: Int, as other: Int, count length: Int) -> Bool {
    let last = count &- length
    guard length >= 0, place >= 0, other >= 0, place <= last, other <= last else { return false }
    return unsafe withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return true }
      // SAFETY: both places are followed by as many bytes.
      return unsafe memcmp(base + place, base + other, length) == 0
    }
  }

  /// Whether both hold the same bytes, found in a time that depends on their lengths alone.
  public func isEqualInConstantTime(to other: Span<UInt8>) -> Bool {
    guard count == other.count else { return false }
    var difference: UInt8 = 0
    var indices = Counter(to: count)
    while let index = indices.next() {
      // SAFETY: both have `count` bytes.
      difference |= unsafe self[unchecked: index] ^ other[unchecked: index]
    }
    return difference == 0
  }

  /// The number that the bytes spell in decimal: digits alone, no sign, no leading zero but in "0" itself,
  /// and no more than `limit`. Nil otherwise.
  public func decimal(upTo limit: UInt64) -> UInt64? {
    guard let first = byte(at: 0), count == 1 || first != UInt8(ascii: "0"), count <= 20 else { return nil }
    var value: UInt64 = 0
    var index = 0
    // No number of nineteen digits is too large.
    while index &+ 8 <= count, index < 16 {
      guard let eight = PackedBytes(number(at: index)).decimal else { return nil }
      value = value &* 100_000_000 &+ eight
      index &+= 8
    }
    while index < count, index < 19 {
      // SAFETY: 0 <= index < count.
      let digit = unsafe self[unchecked: index] &- UInt8(ascii: "0")
      guard digit < 10 else { return nil }
      value = value &* 10 &+ UInt64(digit)
      index &+= 1
    }
    if index < count {
      guard let digit = byte(at: index)?.decimalDigit else { return nil }
      let (tens, isTooLarge) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflow) = tens.addingReportingOverflow(UInt64(digit))
      guard !isTooLarge, !overflow else { return nil }
      value = sum
    }
    return value <= limit ? value : nil
  }
}

extension UInt8 {
  /// The value of an ASCII digit, or nil.
  public var decimalDigit: UInt8? {
    self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") ? self &- UInt8(ascii: "0") : nil
  }

  /// The value of a lower-case hexadecimal digit, or nil.
  public var hexDigit: UInt8? {
    if let digit = decimalDigit { return digit }
    return self >= UInt8(ascii: "a") && self <= UInt8(ascii: "f") ? self &- UInt8(ascii: "a") &+ 10 : nil
  }

  /// A blank: a space or a tab.
  public var isBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }
}
