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
  let devices: ElementBuffer<Device>
  let backupCodes: ElementBuffer<BackupCode>

  /// The name of this version of the credential.
  public let generation: Generation

  /// When two-factor was switched on, in seconds since the epoch.
  public let enabledAt: Int64

  /// How many devices there are: one at least.
  public var deviceCount: Int { devices.count }

  /// How many backup codes there were at first, spent ones included.
  public var backupCodeCount: Int { backupCodes.count }

  /// One backup code.
  struct BackupCode: BitwiseCopyable, Sendable {
    /// Where the hash stands in the text, as crypt(3) makes it.
    var hash = ByteRange()

    /// Whether it is an eight-digit code of another program.
    var isScratchCode = false
  }

  /// The device at `index`, counted from 0 in the order of the file; nil where there is none.
  public func device(at index: Int) -> Device? { devices[index] }

  // Inlined: a credential that is handed on is copied, word by word.
  /// The name of the device at `index`; empty where there is none.
  @inline(__always)
  @_lifetime(borrow self)
  public borrowing func name(ofDeviceAt index: Int) -> Span<UInt8> {
    let range = device(at: index)?.name ?? ByteRange()
    return text.bytes.slice(from: range.start, to: range.end)
  }

  /// The secret of the device at `index`, as bytes; empty where there is no such device.
  @inline(__always)
  @_lifetime(borrow self)
  public borrowing func secret(ofDeviceAt index: Int) -> Span<UInt8> {
    let range = device(at: index)?.secret ?? ByteRange()
    return secrets.bytes.slice(from: range.start, to: range.end)
  }

  /// The hash of the backup code at `index`, as crypt(3) made it; empty where there is none.
  @_lifetime(borrow self)
  public borrowing func backupCodeHash(at index: Int) -> Span<UInt8> {
    let range = backupCodes[index]?.hash ?? ByteRange()
    return text.bytes.slice(from: range.start, to: range.end)
  }

  /// Whether the backup code at `index` is an eight-digit code that another program made.
  public borrowing func isScratchCode(at index: Int) -> Bool { backupCodes[index]?.isScratchCode ?? false }

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
    let range = backupCodes[0]?.hash ?? ByteRange()
    let length = BackupCodeHash.settingLength(of: text.bytes.slice(from: range.start, to: range.end))
    return text.bytes.slice(from: range.start, to: range.start &+ length)
  }
}
