/// Numbers of eight bytes, in little-endian order, among the bytes of a file.
extension Span where Element == UInt8 {
  /// The number at `offset`; 0 where it does not lie within the bytes.
  @inline(__always)
  func number(at offset: Int) -> UInt64 {
    guard offset >= 0, offset <= count &- 8 else { return 0 }
    return unsafe withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return 0 }
      // SAFETY: eight bytes from the offset are there.
      return unsafe UInt64(littleEndian: (base + offset).loadUnaligned(as: UInt64.self))
    }
  }
}

extension MutableSpan where Element == UInt8 {
  /// Puts a number at `offset`; nothing where it does not fit.
  @inline(__always)
  mutating func put(_ number: UInt64, at offset: Int) {
    guard offset >= 0, offset <= count &- 8 else { return }
    unsafe withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      // SAFETY: eight bytes from the offset are there; whole numbers may be stored where they are not aligned.
      unsafe (base + offset).storeBytes(of: number.littleEndian, as: UInt64.self)
    }
  }
}
