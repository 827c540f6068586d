public import FixedMemory
public import OneTimePassword

/// Encodes a credential that ``Credential/init(parsing:)`` can parse.
///
/// Add devices first, then backup codes. If anything is invalid or does not fit, ``finish()`` returns nil.
public struct CredentialEncoder: ~Copyable {
  private var text: SecretBuffer
  private var isComplete = true

  /// Starts a credential; nil if memory is short. `enabledAt` is Unix time.
  public init?(generation: Generation, enabledAt: Int64) {
    guard let text = SecretBuffer(capacity: Credential.maximumLength) else { return nil }
    self.text = text
    add("twofactor-credential 1\ngeneration ")
    var indices = Counter(to: Generation.length)
    while let index = indices.next() {
      let byte = generation.byte(at: index)
      add(Self.hexDigit(byte &>> 4))
      add(Self.hexDigit(byte & 15))
    }
    add("\nenabled ")
    add(decimal: UInt64(bitPattern: Swift.max(enabledAt, 0)))
    add("\n")
  }

  /// See ``Device`` for the parameters. The secret is not in Base32.
  public mutating func addDevice(
    kind: Device.Kind, algorithm: HashAlgorithm, digits: CodeDigits, clockOffset: Int64 = 0, enabledAt: Int64,
    secret: Span<UInt8>, name: Span<UInt8>
  ) {
    switch kind {
    case .totp: add("device type=totp algorithm=")
    case .hotp: add("device type=hotp algorithm=")
    }
    add(algorithm.name)
    add(" digits=")
    add(decimal: UInt64(digits.rawValue))
    switch kind {
    case .totp(let period):
      add(" period=")
      add(decimal: UInt64(bitPattern: period))
      add(clockOffset: clockOffset)
    case .hotp(let counter):
      add(" counter=")
      add(decimal: counter)
    }
    add(" enabled=")
    add(decimal: UInt64(bitPattern: Swift.max(enabledAt, 0)))
    add(" secret=")
    isComplete = Base32.encode(secret, into: &text) && isComplete
    add(" name=")
    isComplete = DeviceName.isValid(name) && text.append(name) && isComplete
    add("\n")
  }

  private mutating func add(clockOffset steps: Int64) {
    isComplete = Device.clockOffsets.contains(steps) && isComplete
    guard steps != 0 else { return }
    add(steps < 0 ? " offset=-" : " offset=")
    add(decimal: UInt64(steps.magnitude))
  }

  /// Copies the device at `index` of another credential, with another clock offset if one is given.
  public mutating func addDevice(at index: Int, of credential: borrowing Credential, clockOffset: Int64? = nil) {
    guard let device = credential.device(at: index) else {
      isComplete = false
      return
    }
    addDevice(
      kind: device.kind, algorithm: device.algorithm, digits: device.digits,
      clockOffset: clockOffset ?? device.clockOffset, enabledAt: device.enabledAt,
      secret: credential.secret(ofDeviceAt: index), name: credential.name(ofDeviceAt: index))
  }

  /// All hashes must have the same setting.
  public mutating func addBackupCode(_ hash: Span<UInt8>, isScratchCode: Bool = false) {
    add(isScratchCode ? "scratch-code " : "backup-code ")
    isComplete = BackupCodeHash.isValid(hash) && text.append(hash) && isComplete
    add("\n")
  }

  /// Nil if anything was invalid or did not fit.
  public consuming func finish() -> SecretBuffer? {
    add("end\n")
    guard isComplete else { return nil }
    return text
  }

  private mutating func add(_ literal: Literal) { isComplete = text.append(literal) && isComplete }

  private mutating func add(_ byte: UInt8) { isComplete = text.append(byte) && isComplete }

  private mutating func add(decimal value: UInt64) {
    var number = ByteText(capacity: 23)
    number.append(decimal: value)
    isComplete = text.append(number.bytes) && !number.isTruncated && isComplete
  }

  private static func hexDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") &+ value : UInt8(ascii: "a") &+ (value &- 10)
  }
}
