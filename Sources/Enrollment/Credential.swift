internal import FixedMemory
internal import OneTimePassword

/// Devices with their shared secrets, and hashes of backup codes. Only the setup command writes it. Format:
/// `pam/credential-format.md`.
public struct Credential: ~Copyable {
  /// The maximum number of devices.
  public static var maximumDevices: Int { 16 }

  /// The maximum number of backup codes; the state has a bit for each.
  public static var maximumBackupCodes: Int { 32 }

  /// In bytes.
  public static var maximumLength: Int { 16384 }

  let text: SecretBuffer
  let secrets: SecretBuffer
  let devices: ElementBuffer<Device>
  let backupCodes: ElementBuffer<BackupCode>

  /// The identifier of this version.
  public let generation: Generation

  /// Unix time.
  public let enabledAt: Int64

  /// At least 1.
  public var deviceCount: Int { devices.count }

  /// The time step of all devices in seconds; 0 if they differ, or for HOTP.
  public var commonPeriod: Int64 {
    var common: Int64 = 0
    var index = 0
    while let device = device(at: index) {
      guard case .totp(let period) = device.kind, index == 0 || period == common else { return 0 }
      common = period
      index &+= 1
    }
    return common
  }

  /// Includes spent ones.
  public var backupCodeCount: Int { backupCodes.count }

  struct BackupCode: BitwiseCopyable, Sendable {
    /// In the text.
    var hash = ByteRange()

    var isScratchCode = false
  }

  /// The credential file.
  public var fileText: Span<UInt8> {
    @_lifetime(borrow self)
    get { text.bytes }
  }

  /// The device at `index` in file order; nil if out of range.
  public func device(at index: Int) -> Device? { devices[index] }

  // Inlined, because passing a credential on copies it.
  /// The device's name; empty if out of range.
  @inline(__always)
  @_lifetime(borrow self)
  public borrowing func name(ofDeviceAt index: Int) -> Span<UInt8> {
    let range = device(at: index)?.name ?? ByteRange()
    return text.bytes.slice(range)
  }

  /// The device's shared secret; empty if out of range.
  @inline(__always)
  @_lifetime(borrow self)
  public borrowing func secret(ofDeviceAt index: Int) -> Span<UInt8> {
    let range = device(at: index)?.secret ?? ByteRange()
    return secrets.bytes.slice(range)
  }

  /// In the format of crypt(5); empty if out of range.
  @_lifetime(borrow self)
  public borrowing func backupCodeHash(at index: Int) -> Span<UInt8> {
    let range = backupCodes[index]?.hash ?? ByteRange()
    return text.bytes.slice(from: range.start, to: range.end)
  }

  /// False if out of range.
  public borrowing func isScratchCode(at index: Int) -> Bool { backupCodes[index]?.isScratchCode ?? false }

  /// Whether any backup code is a scratch code.
  public var hasScratchCodes: Bool {
    var indices = Counter(to: backupCodeCount)
    while let index = indices.next() {
      if isScratchCode(at: index) { return true }
    }
    return false
  }

  /// The common setting of all hashes: method, cost and salt, with the last `$`. Empty without backup codes.
  @_lifetime(borrow self)
  public borrowing func backupCodeSetting() -> Span<UInt8> {
    let range = backupCodes[0]?.hash ?? ByteRange()
    let length = BackupCodeHash.settingLength(of: text.bytes.slice(from: range.start, to: range.end))
    return text.bytes.slice(from: range.start, to: range.start &+ length)
  }
}
