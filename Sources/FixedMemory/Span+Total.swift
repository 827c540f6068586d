internal import CSystem

/// Access that cannot trap, because a trap would end the process that authenticates.
extension Span where Element == UInt8 {
  /// The byte at `index`; nil if it is out of range.
  public func byte(at index: Int) -> UInt8? {
    guard index >= 0, index < count else { return nil }
    // SAFETY: the index is in bounds.
    return unsafe self[unchecked: index]
  }

  /// The bytes at `start` ..< `end`, clamped to the bounds.
  @inline(__always)
  @_lifetime(copy self)
  public func slice(from start: Int, to end: Int) -> Span<UInt8> {
    let first = Swift.min(Swift.max(start, 0), count)
    let last = Swift.min(Swift.max(end, first), count)
    // SAFETY: 0 <= first <= last <= count, and the part lives as long as the whole. `extracting` can trap, and
    // `bitPattern` needs no check for an empty span's nil.
    let part = unsafe withUnsafeBufferPointer { bytes in
      let address = Int(bitPattern: bytes.baseAddress) &+ first
      return unsafe UnsafeBufferPointer(start: UnsafePointer<UInt8>(bitPattern: address), count: last &- first)
    }
    return unsafe _overrideLifetime(part.span, copying: self)
  }

  /// The bytes from `start` to the end.
  @_lifetime(copy self)
  public func slice(from start: Int) -> Span<UInt8> { slice(from: start, to: count) }

  /// The index of the first `byte` at or after `start`.
  public func firstIndex(of byte: UInt8, from start: Int = 0) -> Int? {
    let first = Swift.max(start, 0)
    guard first < count else { return nil }
    // SAFETY: the search ends at the end of the bytes.
    return unsafe withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress,
        let found = unsafe memchr(base + first, Int32(byte), bytes.count &- first)
      else { return nil }
      return unsafe UnsafeRawPointer(found) - base
    }
  }

  /// A little-endian number of eight bytes at `offset`; 0 if out of range.
  @inline(__always)
  public func number(at offset: Int) -> UInt64 {
    guard offset >= 0, offset <= count &- 8 else { return 0 }
    // SAFETY: the eight bytes are in bounds.
    return unsafe withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return 0 }
      return unsafe UInt64(littleEndian: (base + offset).loadUnaligned(as: UInt64.self))
    }
  }

  /// Not for secrets: stops at the first difference.
  public func isEqual(to literal: Literal) -> Bool { count == literal.byteCount && starts(with: literal) }

  /// Whether the bytes from `offset` start with `literal`. Not for secrets: stops at the first difference.
  public func starts(with literal: Literal, at offset: Int = 0) -> Bool {
    guard offset >= 0, offset <= count, literal.byteCount <= count &- offset else { return false }
    // SAFETY: both have as many bytes as the literal.
    return unsafe withUnsafeBytes { bytes in
      unsafe literal.bytes.withUnsafeBytes { others in
        guard let base = bytes.baseAddress, let start = others.baseAddress else { return true }
        return unsafe memcmp(base + offset, start, others.count) == 0
      }
    }
  }

  /// Not for secrets: stops at the first difference.
  public func isEqual(to other: Span<UInt8>) -> Bool {
    guard count == other.count else { return false }
    // SAFETY: both have `count` bytes.
    return unsafe withUnsafeBytes { bytes in
      unsafe other.withUnsafeBytes { others in
        guard let base = bytes.baseAddress, let start = others.baseAddress else { return true }
        return unsafe memcmp(base, start, bytes.count) == 0
      }
    }
  }

  /// Compares in a time that depends only on the lengths.
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

  /// Parses a decimal number without sign or leading zeros; nil if invalid or above `limit`.
  public func decimal(upTo limit: UInt64) -> UInt64? {
    guard let first = byte(at: 0), count == 1 || first != UInt8(ascii: "0") else { return nil }
    var value: UInt64 = 0
    var indices = Counter(to: count)
    while let index = indices.next() {
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
  /// The value of an ASCII digit.
  public var decimalDigit: UInt8? {
    let digit = self &- UInt8(ascii: "0")
    return digit < 10 ? digit : nil
  }

  /// The value of a lower-case hexadecimal digit.
  public var hexDigit: UInt8? {
    let letter = self &- UInt8(ascii: "a")
    return letter < 6 ? letter &+ 10 : decimalDigit
  }

  /// Whether it is a space or a tab.
  public var isBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }
}

/// Counts 0 ..< `end`; nothing if `end` is negative.
///
/// A range would trap if `end` is negative, and the compiler cannot always remove the checks of its iterator.
public struct Counter: Sendable {
  private var position = 0
  private let end: Int

  /// Starts at 0.
  @inline(__always)
  public init(to end: Int) { self.end = end }

  /// The next number, or nil at the end.
  @inline(__always)
  public mutating func next() -> Int? {
    guard position < end else { return nil }
    defer { position &+= 1 }
    return position
  }
}
