internal import CSystem
internal import FixedMemory

/// A numeric IPv4 or IPv6 address. Host names are rejected: the owner of their DNS zone chooses the address.
public struct NetworkAddress: Equatable, Sendable {
  /// In network order, IPv4 as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2).
  public private(set) var bytes = InlineArray<16, UInt8>(repeating: 0)

  /// Whether the address has a zone (RFC 4007).
  public private(set) var hasZone = false

  /// Whether the address is IPv4 or IPv4-mapped.
  public var isIPv4: Bool {
    var index = 0
    while index < 10 {
      guard bytes.span.byte(at: index) == 0 else { return false }
      index &+= 1
    }
    return bytes.span.byte(at: 10) == 0xff && bytes.span.byte(at: 11) == 0xff
  }

  /// Parses an address (inet_pton(3)), with or without a zone.
  public init?(_ text: Span<UInt8>) {
    let zone = text.firstIndex(of: UInt8(ascii: "%"))
    if let zone {
      hasZone = true
      guard zone &+ 1 < text.count else { return nil }
    }
    var isAddress = false
    // SAFETY: `address` does not outlive the closure.
    unsafe ByteText.onStack(capacity: 63) { address in
      address.append(text.slice(from: 0, to: zone ?? text.count))
      guard !address.isTruncated, address.count > 0, address.bytes.firstIndex(of: 0) == nil else { return }
      isAddress = read(address)
    }
    // Only IPv6 has zones.
    guard isAddress, !(hasZone && isIPv4) else { return nil }
  }

  private mutating func read(_ address: borrowing ByteText) -> Bool {
    // SAFETY: inet_pton(3) writes 16 bytes for IPv6, 4 for IPv4; `bytes` has 16.
    if address.bytes.firstIndex(of: UInt8(ascii: ":")) != nil {
      return unsafe withUnsafeMutableBytes(of: &bytes) { bytes in
        unsafe address.withCString { unsafe inet_pton(AF_INET6, $0, bytes.baseAddress) }
      } == 1
    }
    guard !hasZone else { return false }
    let result = unsafe withUnsafeMutableBytes(of: &bytes) { bytes in
      unsafe address.withCString { unsafe inet_pton(AF_INET, $0, bytes.baseAddress.map { unsafe $0 + 12 }) }
    }
    unsafe bytes[unchecked: 10] = 0xff
    unsafe bytes[unchecked: 11] = 0xff
    return result == 1
  }

  /// Ignores the text of a zone, but not its presence.
  public static func == (left: NetworkAddress, right: NetworkAddress) -> Bool {
    left.hasZone == right.hasZone && left.bytes.span.isEqualInConstantTime(to: right.bytes.span)
  }
}

/// A network in CIDR notation (RFC 4632, RFC 4291 section 2.3), such as `192.0.2.0/24`, or one address.
public struct Network: Sendable {
  private let address: NetworkAddress

  private let length: Int

  /// Nil if bits after the prefix are set, which is a typing error.
  public init?(_ text: Span<UInt8>) {
    let slash = text.firstIndex(of: UInt8(ascii: "/"))
    let addressText = text.slice(from: 0, to: slash ?? text.count)
    guard let address = NetworkAddress(addressText), !address.hasZone else { return nil }
    let isShort = addressText.firstIndex(of: UInt8(ascii: ":")) == nil
    if let slash {
      guard let bits = text.slice(from: slash &+ 1).decimal(upTo: isShort ? 32 : 128) else { return nil }
      length = Int(truncatingIfNeeded: bits) &+ (isShort ? 96 : 0)
    } else {
      length = 128
    }
    self.address = address
    guard hasOnlyPrefixBits else { return nil }
  }

  /// `::/0` contains no IPv4 address.
  public func contains(_ other: NetworkAddress) -> Bool {
    guard length >= 96 || !other.isIPv4 else { return false }
    var index = 0
    while index < 16 {
      let mask = mask(at: index)
      guard let own = address.bytes.span.byte(at: index), let its = other.bytes.span.byte(at: index),
        own & mask == its & mask
      else { return false }
      index &+= 1
    }
    return true
  }

  private var hasOnlyPrefixBits: Bool {
    var index = 0
    while index < 16 {
      guard let byte = address.bytes.span.byte(at: index), byte & ~mask(at: index) == 0 else { return false }
      index &+= 1
    }
    return true
  }

  private func mask(at index: Int) -> UInt8 {
    let bits = length &- 8 &* index
    if bits >= 8 { return 0xff }
    return bits <= 0 ? 0 : ~(0xff &>> UInt8(truncatingIfNeeded: bits))
  }
}
