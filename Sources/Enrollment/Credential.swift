internal import FixedMemory
internal import OneTimePassword

/// What a user enrolled with: the devices with their shared secrets, and the hashes of the backup codes. Written
/// by the setup command alone; a login reads it. The format is described in `pam/credential-format.md`.
public struct Credential: ~Copyable {
  /// The most devices that a user may have.
  public static var maximumDevices: Int { 16 }

  /// The most backup codes, and as many bits in the state for those that are spent.
  public static var maximumBackupCodes: Int { 32 }

  /// The longest file in bytes.
  public static var maximumLength: Int { 16384 }

  let text: SecretBuffer
  let secrets: SecretBuffer
  let content: Content

  /// What the text says, with the places of what is longer.
  struct Content {
    var generation = Generation(bytes: InlineArray(repeating: 0))
    var enabledAt: Int64 = 0
    var deviceCount = 0
    var backupCodeCount = 0
    var devices = InlineArray<16, Device>(repeating: .none)
    var backupCodes = InlineArray<32, BackupCode>(repeating: BackupCode())
  }

  /// The name of this version of the credential.
  public var generation: Generation { content.generation }

  /// When two-factor was switched on, in seconds since the epoch.
  public var enabledAt: Int64 { content.enabledAt }

  /// How many devices there are: one at least.
  public var deviceCount: Int { content.deviceCount }

  /// How many backup codes there were at first, spent ones included.
  public var backupCodeCount: Int { content.backupCodeCount }

  /// One backup code.
  struct BackupCode: Sendable {
    /// Where the hash stands in the text, as crypt(3) makes it.
    var hash = ByteRange()

    /// Whether it is an eight-digit code of another program.
    var isScratchCode = false
  }

  /// The device at `index`, counted from 0 in the order of the file; nil where there is none.
  public func device(at index: Int) -> Device? {
    guard index >= 0, index < deviceCount, index < content.devices.count else { return nil }
    // SAFETY: the index was compared with both bounds.
    return unsafe content.devices[unchecked: index]
  }

  /// The name of the device at `index`; empty where there is none.
  @_lifetime(borrow self)
  public borrowing func name(ofDeviceAt index: Int) -> Span<UInt8> {
    let range = device(at: index)?.name ?? ByteRange()
    return text.bytes.slice(from: range.start, to: range.end)
  }

  /// The secret of the device at `index`, as bytes; empty where there is no such device.
  @_lifetime(borrow self)
  public borrowing func secret(ofDeviceAt index: Int) -> Span<UInt8> {
    let range = device(at: index)?.secret ?? ByteRange()
    return secrets.bytes.slice(from: range.start, to: range.end)
  }

  /// The hash of the backup code at `index`, as crypt(3) made it; empty where there is none.
  @_lifetime(borrow self)
  public borrowing func backupCodeHash(at index: Int) -> Span<UInt8> {
    guard index >= 0, index < backupCodeCount, index < content.backupCodes.count else {
      return text.bytes.slice(from: 0, to: 0)
    }
    // SAFETY: the index was compared with both bounds.
    let range = unsafe content.backupCodes[unchecked: index].hash
    return text.bytes.slice(from: range.start, to: range.end)
  }

  /// Whether the backup code at `index` is an eight-digit code that another program made.
  public borrowing func isScratchCode(at index: Int) -> Bool {
    guard index >= 0, index < backupCodeCount, index < content.backupCodes.count else { return false }
    // SAFETY: the index was compared with both bounds.
    return unsafe content.backupCodes[unchecked: index].isScratchCode
  }

  /// Whether there are eight-digit codes of another program among the backup codes.
  public var hasScratchCodes: Bool {
    var indices = Counter(to: backupCodeCount)
    while let index = indices.next() {
      if isScratchCode(at: index) { return true }
    }
    return false
  }

  /// What all backup codes are hashed with: method, cost and salt, the hash up to its last `$`. Empty where
  /// there are no backup codes.
  @_lifetime(borrow self)
  public borrowing func backupCodeSetting() -> Span<UInt8> {
    // SAFETY: the array has 32 elements; where there is no backup code the range is empty.
    let range = unsafe content.backupCodes[unchecked: 0].hash
    let length = Self.settingLength(of: text.bytes.slice(from: range.start, to: range.end))
    return text.bytes.slice(from: range.start, to: range.start &+ length)
  }

  /// The length of the part of a crypt(5) hash that is not the hash itself.
  static func settingLength(of hash: Span<UInt8>) -> Int {
    var end = hash.count
    while end > 0, hash.byte(at: end &- 1) != UInt8(ascii: "$") { end &-= 1 }
    return end
  }
}
