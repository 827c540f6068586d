internal import FixedMemory
internal import OneTimePassword

/// The devices of a user with their shared secrets, and the hashes of the backup codes. Only the setup command writes
/// it. For the format see `pam/credential-format.md`.
public struct Credential: ~Copyable {
  /// The highest number of devices.
  public static var maximumDevices: Int { 16 }

  /// The highest number of backup codes: the state has a bit for each.
  public static var maximumBackupCodes: Int { 32 }

  /// The length of the longest file in bytes.
  public static var maximumLength: Int { 16384 }

  let text: SecretBuffer
  let secrets: SecretBuffer
  let devices: ElementBuffer<Device>
  let backupCodes: ElementBuffer<BackupCode>

  /// The name of this version.
  public let generation: Generation

  /// The time of enrollment in seconds since the epoch.
  public let enabledAt: Int64

  /// The number of devices, at least 1.
  public var deviceCount: Int { devices.count }

  /// The number of backup codes, including spent ones.
  public var backupCodeCount: Int { backupCodes.count }

  /// A backup code.
  struct BackupCode: BitwiseCopyable, Sendable {
    /// The range of the hash in the text.
    var hash = ByteRange()

    /// Whether it is an imported scratch code of eight digits.
    var isScratchCode = false
  }

  /// The device at `index` in the order of the file, from 0; nil if it is out of range.
  public func device(at index: Int) -> Device? { devices[index] }

  // Inlined: passing a credential on copies it.
  /// The name of the device at `index`; empty if it is out of range.
  @inline(__always)
  @_lifetime(borrow self)
  public borrowing func name(ofDeviceAt index: Int) -> Span<UInt8> {
    let range = device(at: index)?.name ?? ByteRange()
    return text.bytes.slice(range)
  }

  /// The shared secret of the device at `index`; empty if it is out of range.
  @inline(__always)
  @_lifetime(borrow self)
  public borrowing func secret(ofDeviceAt index: Int) -> Span<UInt8> {
    let range = device(at: index)?.secret ?? ByteRange()
    return secrets.bytes.slice(range)
  }

  /// The hash of the backup code at `index`, in the format of crypt(5); empty if it is out of range.
  @_lifetime(borrow self)
  public borrowing func backupCodeHash(at index: Int) -> Span<UInt8> {
    let range = backupCodes[index]?.hash ?? ByteRange()
    return text.bytes.slice(from: range.start, to: range.end)
  }

  /// Whether the backup code at `index` is a scratch code.
  public borrowing func isScratchCode(at index: Int) -> Bool { backupCodes[index]?.isScratchCode ?? false }

  /// Whether any backup code is a scratch code.
  public var hasScratchCodes: Bool {
    var indices = Counter(to: backupCodeCount)
    while let index = indices.next() {
      if isScratchCode(at: index) { return true }
    }
    return false
  }

  /// The setting of all backup codes' hashes: method, cost and salt, with the last `$`. Empty without backup codes.
  @_lifetime(borrow self)
  public borrowing func backupCodeSetting() -> Span<UInt8> {
    let range = backupCodes[0]?.hash ?? ByteRange()
    let length = BackupCodeHash.settingLength(of: text.bytes.slice(from: range.start, to: range.end))
    return text.bytes.slice(from: range.start, to: range.start &+ length)
  }
}
