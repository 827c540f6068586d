public import FixedMemory
internal import OneTimePassword

extension Credential {
  /// Reads a credential from the bytes of its file.
  ///
  /// There is one spelling of each credential, so what is read and written again is the same, byte for byte.
  ///
  /// - Parameter file: The bytes; they are kept, and wiped with the credential.
  /// - Throws: What is wrong and in which line.
  public init(parsing file: consuming SecretBuffer) throws(EnrollmentFailure) {
    guard let secrets = SecretBuffer(capacity: file.bytes.count),
      let devices = ElementBuffer<Device>(capacity: Self.maximumDevices),
      let backupCodes = ElementBuffer<BackupCode>(capacity: Self.maximumBackupCodes)
    else { throw EnrollmentFailure(.io, "credential", "out of memory") }
    var parser = CredentialParser(secrets: secrets, devices: devices, backupCodes: backupCodes)
    try parser.parse(file.bytes)
    self = parser.finish(file)
  }
}

/// Where reading a credential has come to.
private struct CredentialParser: ~Copyable {
  private var reader = LineReader()
  private var generation = Generation(low: 0, high: 0)
  private var enabledAt: Int64 = 0
  private var secrets: SecretBuffer
  private var devices: ElementBuffer<Device>
  private var backupCodes: ElementBuffer<Credential.BackupCode>

  /// What all backup codes are hashed with, as the first one has it.
  private var setting = ByteRange()

  init(
    secrets: consuming SecretBuffer, devices: consuming ElementBuffer<Device>,
    backupCodes: consuming ElementBuffer<Credential.BackupCode>
  ) {
    self.secrets = secrets
    self.devices = devices
    self.backupCodes = backupCodes
  }

  /// What has been read, with the text that it was read from.
  consuming func finish(_ text: consuming SecretBuffer) -> Credential {
    Credential(
      text: text, secrets: secrets, devices: devices, backupCodes: backupCodes, generation: generation,
      enabledAt: enabledAt)
  }

  func failure(_ problem: Literal) -> EnrollmentFailure {
    EnrollmentFailure(.corrupt, "credential", problem, line: reader.number)
  }

  mutating func parse(_ text: Span<UInt8>) throws(EnrollmentFailure) {
    guard text.count > 0 else { throw EnrollmentFailure(.corrupt, "credential", "is empty") }
    guard text.count <= Credential.maximumLength else {
      throw EnrollmentFailure(.corrupt, "credential", "is too long")
    }
    guard reader.advance(in: text), reader.skip("twofactor-credential ", in: text) else {
      throw failure("is not a credential")
    }
    guard reader.isLine("1", in: text) else { throw failure("has a version that is not known") }

    guard reader.advance(in: text), reader.skip("generation ", in: text) else { throw failure("no generation") }
    guard let generation = Generation(hexadecimal: slice(reader.rest(), of: text)) else {
      throw failure("the generation is not 32 hexadecimal digits")
    }
    self.generation = generation

    guard reader.advance(in: text), reader.skip("enabled ", in: text) else { throw failure("no time of enrolment") }
    enabledAt = try time(reader.rest(), of: text)

    guard reader.advance(in: text) else { throw failure("ends early") }
    while reader.skip("device ", in: text) {
      try parseDevice(text)
      guard reader.advance(in: text) else { throw failure("ends early") }
    }
    guard devices.count > 0 else { throw failure("no device") }

    while true {
      let isScratchCode = reader.skip("scratch-code ", in: text)
      guard isScratchCode || reader.skip("backup-code ", in: text) else { break }
      try parseBackupCode(text, isScratchCode: isScratchCode)
      while parseSimilarBackupCode(text, isScratchCode: isScratchCode) {}
      guard reader.advance(in: text) else { throw failure("ends early") }
    }

    guard reader.isLine("end", in: text) else { throw failure("unknown line") }
    guard reader.isAtEnd(of: text) else { throw failure("goes on after its end") }
  }

  private mutating func parseDevice(_ text: Span<UInt8>) throws(EnrollmentFailure) {
    let isTOTP = reader.skip("type=totp ", in: text)
    guard isTOTP || reader.skip("type=hotp ", in: text) else { throw failure("unknown type of device") }

    let algorithm: HashAlgorithm
    if reader.skip("algorithm=sha1 ", in: text) {
      algorithm = .sha1
    } else if reader.skip("algorithm=sha256 ", in: text) {
      algorithm = .sha256
    } else if reader.skip("algorithm=sha512 ", in: text) {
      algorithm = .sha512
    } else {
      throw failure("unknown algorithm")
    }

    let digits: CodeDigits
    if reader.skip("digits=6 ", in: text) {
      digits = .six
    } else if reader.skip("digits=8 ", in: text) {
      digits = .eight
    } else {
      throw failure("the digits are neither 6 nor 8")
    }

    let kind: Device.Kind
    if isTOTP {
      guard reader.skip("period=", in: text),
        let period = slice(reader.word(in: text), of: text).decimal(upTo: UInt64(TimeStep.periods.upperBound)),
        TimeStep.periods.contains(Int64(truncatingIfNeeded: period))
      else { throw failure("the period is not 15 to 300 seconds") }
      kind = .totp(period: Int64(truncatingIfNeeded: period))
    } else {
      guard reader.skip("counter=", in: text),
        let counter = slice(reader.word(in: text), of: text).decimal(upTo: LoginState.highestCounter)
      else { throw failure("the counter is not a number") }
      kind = .hotp(counter: counter)
    }

    guard reader.skip("enabled=", in: text) else { throw failure("no time of enrolment") }
    let enabledAt = try time(reader.word(in: text), of: text)

    guard reader.skip("secret=", in: text) else { throw failure("no secret") }
    let start = secrets.bytes.count
    guard Base32.decode(slice(reader.word(in: text), of: text), into: &secrets) else {
      throw failure("the secret is not Base32")
    }
    let secret = ByteRange(start: start, end: secrets.bytes.count)
    guard SharedSecret.lengths.contains(secret.end &- secret.start) else {
      throw failure("the secret is too short or too long")
    }

    guard reader.skip("name=", in: text) else { throw failure("no name") }
    let name = reader.rest()
    guard DeviceName.isValid(slice(name, of: text)) else { throw failure("the name is not one") }
    var index = 0
    while let other = devices[index] {
      index &+= 1
      if slice(other.name, of: text).isEqual(to: slice(name, of: text)) { throw failure("two devices of one name") }
      // One code would be good once for each of them.
      let isSame = slice(other.secret, of: secrets.bytes).isEqualInConstantTime(to: slice(secret, of: secrets.bytes))
      if isSame { throw failure("two devices of one secret") }
    }
    let device = Device(
      kind: kind, algorithm: algorithm, digits: digits, enabledAt: enabledAt, secret: secret, name: name)
    guard devices.append(device) else { throw failure("too many devices") }
  }

  private mutating func parseBackupCode(
    _ text: Span<UInt8>, isScratchCode: Bool
  ) throws(EnrollmentFailure) {
    let range = reader.rest()
    let hash = slice(range, of: text)
    let settingLength = BackupCodeHash.settingLength(of: hash)
    guard settingLength > 0 else { throw failure("the backup code is not a yescrypt hash") }
    let own = ByteRange(start: range.start, end: range.start &+ settingLength)
    if backupCodes.count == 0 { setting = own }
    guard slice(own, of: text).isEqual(to: slice(setting, of: text)) else {
      throw failure("the backup codes have two salts")
    }
    guard backupCodes.append(Credential.BackupCode(hash: range, isScratchCode: isScratchCode)) else {
      throw failure("too many backup codes")
    }
  }

  /// Reads the next line where it differs from the one before in the hash alone, as most do: then only the hash has to
  /// be judged. Every login reads all of them.
  ///
  /// - Returns: False where there is no such line; nothing has been read then.
  private mutating func parseSimilarBackupCode(
    _ text: Span<UInt8>, isScratchCode: Bool
  ) -> Bool {
    let beginning = reader.offset &+ setting.end &- setting.start
    guard let line = reader.nextLine(alikeFor: beginning, in: text),
      BackupCodeHash.isText(text.slice(from: line.start &+ beginning, to: line.end)),
      backupCodes.append(
        Credential.BackupCode(
          hash: ByteRange(start: line.start &+ reader.offset, end: line.end), isScratchCode: isScratchCode))
    else { return false }
    reader.advance(to: line)
    return true
  }

  private func time(_ range: ByteRange, of text: Span<UInt8>) throws(EnrollmentFailure) -> Int64 {
    guard let seconds = slice(range, of: text).decimal(upTo: UInt64(Int64.max)) else {
      throw failure("the time of enrolment is not a number")
    }
    return Int64(truncatingIfNeeded: seconds)
  }

  @_lifetime(copy text)
  private func slice(_ range: ByteRange, of text: Span<UInt8>) -> Span<UInt8> {
    text.slice(from: range.start, to: range.end)
  }
}
