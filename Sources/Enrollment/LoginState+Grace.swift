internal import FixedMemory

/// The service and remote address that a grace period is bound to.
public struct GraceKey: Equatable, Sendable {
  /// A hash of the service's name.
  public let service: UInt64

  /// The first eight bytes of the IPv6 address.
  public let highAddress: UInt64

  /// The last eight bytes.
  public let lowAddress: UInt64

  /// The key with these parts.
  public init(service: UInt64, highAddress: UInt64, lowAddress: UInt64) {
    self.service = service
    self.highAddress = highAddress
    self.lowAddress = lowAddress
  }

  /// `address` has 16 bytes.
  public init(service: Span<UInt8>, address: Span<UInt8>) {
    // FNV-1a. Collisions do not matter, because the administrator chooses the names.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    var indices = Counter(to: service.count)
    while let index = indices.next() { hash = (hash ^ UInt64(service.byte(at: index) ?? 0)) &* 0x0000_0100_0000_01b3 }
    self.service = hash
    highAddress = Self.number(address, from: 0)
    lowAddress = Self.number(address, from: 8)
  }

  private static func number(_ bytes: Span<UInt8>, from start: Int) -> UInt64 {
    var number: UInt64 = 0
    var indices = Counter(to: 8)
    while let index = indices.next() { number = number << 8 | UInt64(bytes.byte(at: start &+ index) ?? 0) }
    return number
  }
}

struct GraceEntry: Sendable {
  var key = GraceKey(service: 0, highAddress: 0, lowAddress: 0)

  /// Unix time of the last accepted code; 0 for an empty entry.
  var passedAt: Int64 = 0
}

extension LoginState {
  /// The number of addresses. A new one replaces the least recently used.
  public static var graceEntries: Int { 8 }

  /// Starts the grace period of an address.
  public mutating func beginGrace(_ key: GraceKey, now: Int64) {
    guard now > 0 else { return }
    _ = dropGrace(after: now)
    moveToFront(GraceEntry(key: key, passedAt: now))
  }

  /// Ends all grace periods.
  public mutating func endGrace() {
    var indices = Counter(to: Self.graceEntries)
    while let index = indices.next() { setGrace(GraceEntry(), at: index) }
  }

  /// Ends grace periods that started in the future: the clock was set back, so their age is unknown. Returns whether
  /// there were any.
  public mutating func dropGrace(after now: Int64) -> Bool {
    var dropsAny = false
    var indices = Counter(to: Self.graceEntries)
    while let index = indices.next() {
      guard grace(at: index).passedAt > now else { continue }
      setGrace(GraceEntry(), at: index)
      dropsAny = true
    }
    return dropsAny
  }

  /// Whether a grace period of `period` seconds applies, which becomes the most recently used one.
  public mutating func usesGrace(_ key: GraceKey, now: Int64, period: Int64) -> Bool {
    var found: GraceEntry?
    var indices = Counter(to: Self.graceEntries)
    while let index = indices.next() {
      let entry = grace(at: index)
      let (age, overflow) = now.subtractingReportingOverflow(entry.passedAt)
      if entry.passedAt > 0, entry.key == key, !overflow, age >= 0, age < period { found = entry }
    }
    guard let found else { return false }
    moveToFront(found)
    return true
  }

  private mutating func moveToFront(_ first: GraceEntry) {
    var moved = first
    var indices = Counter(to: Self.graceEntries)
    while let index = indices.next() {
      let entry = grace(at: index)
      setGrace(moved, at: index)
      if entry.key == first.key, entry.passedAt > 0 { return }
      moved = entry
    }
  }

  func grace(at index: Int) -> GraceEntry {
    guard index >= 0, index < Self.graceEntries else { return GraceEntry() }
    let place = Place.grace &+ 4 &* index
    let key = GraceKey(service: self[place], highAddress: self[place &+ 1], lowAddress: self[place &+ 2])
    return GraceEntry(key: key, passedAt: Int64(bitPattern: self[place &+ 3]))
  }

  mutating func setGrace(_ entry: GraceEntry, at index: Int) {
    guard index >= 0, index < Self.graceEntries else { return }
    let place = Place.grace &+ 4 &* index
    self[place] = entry.key.service
    self[place &+ 1] = entry.key.highAddress
    self[place &+ 2] = entry.key.lowAddress
    self[place &+ 3] = UInt64(bitPattern: entry.passedAt)
  }
}
