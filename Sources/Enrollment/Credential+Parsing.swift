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
  private var reader = TextReader()
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

  /// What is wrong, in the line in which reading stopped; of one without a line feed, that it was cut.
  @inline(never)
  private func failure(_ problem: Literal, _ text: Span<UInt8>) -> EnrollmentFailure {
    EnrollmentFailure(
      .corrupt, "credential", reader.isInUnendedLine(of: text) ? "ends early" : problem,
      line: reader.lineNumber(in: text))
  }

  mutating func parse(_ text: Span<UInt8>) throws(EnrollmentFailure) {
    guard text.count > 0 else { throw EnrollmentFailure(.corrupt, "credential", "is empty") }
    guard text.count <= Credential.maximumLength else {
      throw EnrollmentFailure(.corrupt, "credential", "is too long")
    }
    if !reader.skip("twofactor-credential 1\ngeneration ", in: text) {
      guard reader.skip("twofactor-credential ", in: text) else {
        throw EnrollmentFailure(.corrupt, "credential", "is not a credential", line: 1)
      }
      guard reader.skip("1\n", in: text) else { throw failure("has a version that is not known", text) }
      guard reader.skip("generation ", in: text) else { throw failure("no generation", text) }
    }
    let digits = text.slice(from: reader.position, to: reader.position &+ Generation.digits)
    reader.skip(Generation.digits, in: text)
    guard let generation = Generation(hexadecimal: digits), reader.skip("\n", in: text) else {
      throw failure("the generation is not 32 hexadecimal digits", text)
    }
    self.generation = generation

    guard reader.skip("enabled ", in: text) else { throw failure("no time of enrolment", text) }
    guard let time = reader.range(upTo: UInt8(ascii: "\n"), in: text) else { throw failure("ends early", text) }
    enabledAt = try self.time(slice(time, of: text), text)

    while reader.skip("device ", in: text) { try parseDevice(text) }
    guard devices.count > 0 else { throw failure("no device", text) }

    while !reader.skip("end\n", in: text) {
      let start = reader.position
      let isScratchCode = !reader.skip("backup-code ", in: text)
      guard !isScratchCode || reader.skip("scratch-code ", in: text) else {
        throw failure("unknown line", text)
      }
      try parseBackupCodes(text, lineStart: start, isScratchCode: isScratchCode)
    }
    guard reader.isAtEnd(of: text) else { throw failure("goes on after its end", text) }
  }

  /// What kind of codes a device has.
  private struct CodeKind {
    var kind = Device.Kind.totp(period: 30)
    var algorithm = HashAlgorithm.sha1
    var digits = CodeDigits.six
  }

  private mutating func parseCodeKind(_ text: Span<UInt8>) throws(EnrollmentFailure) -> CodeKind {
    var code = CodeKind()
    // As every app has it, and nearly every device is.
    if reader.skip("type=totp algorithm=sha1 digits=6 period=30 ", in: text) { return code }

    let isTOTP = reader.skip("type=totp ", in: text)
    guard isTOTP || reader.skip("type=hotp ", in: text) else { throw failure("unknown type of device", text) }

    if reader.skip("algorithm=sha1 ", in: text) {
      code.algorithm = .sha1
    } else if reader.skip("algorithm=sha256 ", in: text) {
      code.algorithm = .sha256
    } else if reader.skip("algorithm=sha512 ", in: text) {
      code.algorithm = .sha512
    } else {
      throw failure("unknown algorithm", text)
    }

    if reader.skip("digits=6 ", in: text) {
      code.digits = .six
    } else if reader.skip("digits=8 ", in: text) {
      code.digits = .eight
    } else {
      throw failure("the digits are neither 6 nor 8", text)
    }

    if isTOTP {
      guard reader.skip("period=", in: text),
        let period = reader.word(in: text).decimal(upTo: UInt64(TimeStep.periods.upperBound)),
        TimeStep.periods.contains(Int64(truncatingIfNeeded: period))
      else { throw failure("the period is not 15 to 300 seconds", text) }
      code.kind = .totp(period: Int64(truncatingIfNeeded: period))
    } else {
      guard reader.skip("counter=", in: text),
        let counter = reader.word(in: text).decimal(upTo: LoginState.highestCounter)
      else { throw failure("the counter is not a number", text) }
      code.kind = .hotp(counter: counter)
    }
    return code
  }

  private mutating func parseDevice(_ text: Span<UInt8>) throws(EnrollmentFailure) {
    let code = try parseCodeKind(text)
    guard reader.skip("enabled=", in: text) else { throw failure("no time of enrolment", text) }
    let enabledAt = try time(reader.word(in: text), text)

    guard reader.skip("secret=", in: text) else { throw failure("no secret", text) }
    let start = secrets.count
    guard Base32.decode(reader.word(in: text), into: &secrets) else { throw failure("the secret is not Base32", text) }
    let secret = ByteRange(start: start, end: secrets.count)
    guard SharedSecret.lengths.contains(secret.end &- secret.start) else {
      throw failure("the secret is too short or too long", text)
    }

    guard reader.skip("name=", in: text) else { throw failure("no name", text) }
    guard let name = reader.range(upTo: UInt8(ascii: "\n"), in: text) else { throw failure("ends early", text) }
    guard DeviceName.isValid(slice(name, of: text)) else { throw failure("the name is not one", text) }
    var index = 0
    while let other = devices[index] {
      index &+= 1
      if slice(other.name, of: text).isEqual(to: slice(name, of: text)) {
        throw failure("two devices of one name", text)
      }
      // One code would be good once for each of them.
      let isSame = slice(other.secret, of: secrets.bytes).isEqualInConstantTime(to: slice(secret, of: secrets.bytes))
      if isSame { throw failure("two devices of one secret", text) }
    }
    let device = Device(
      kind: code.kind, algorithm: code.algorithm, digits: code.digits, enabledAt: enabledAt, secret: secret, name: name)
    guard devices.append(device) else { throw failure("too many devices", text) }
  }

  /// Reads the hash of a backup code, and the lines behind it that differ from its line in the hash alone, as most do:
  /// then only the hash has to be judged. Every login reads all of them.
  private mutating func parseBackupCodes(
    _ text: Span<UInt8>, lineStart: Int, isScratchCode: Bool
  ) throws(EnrollmentFailure) {
    guard var range = reader.range(upTo: UInt8(ascii: "\n"), in: text) else { throw failure("ends early", text) }
    let settingLength = BackupCodeHash.settingLength(of: slice(range, of: text))
    guard settingLength > 0 else { throw failure("the backup code is not a yescrypt hash", text) }
    let own = ByteRange(start: range.start, end: range.start &+ settingLength)
    if backupCodes.count == 0 { setting = own }
    guard slice(own, of: text).isEqual(to: slice(setting, of: text)) else {
      throw failure("the backup codes have two salts", text)
    }
    guard backupCodes.append(Credential.BackupCode(hash: range, isScratchCode: isScratchCode)) else {
      throw failure("too many backup codes", text)
    }

    let line = ByteRange(start: lineStart, end: range.end)
    let length = line.end &- line.start &+ 1
    var similar = Counter(to: BackupCodeHash.countOfLines(behind: line, alikeFor: own.end &- line.start, in: text))
    var added = 0
    while similar.next() != nil {
      range = range.moved(by: length)
      // One too many is left for who reads it by itself, and says so.
      guard backupCodes.append(Credential.BackupCode(hash: range, isScratchCode: isScratchCode)) else { break }
      added &+= 1
    }
    reader.skip(added &* length, in: text)
  }

  private func time(_ digits: Span<UInt8>, _ text: Span<UInt8>) throws(EnrollmentFailure) -> Int64 {
    guard let seconds = digits.decimal(upTo: UInt64(Int64.max)) else {
      throw failure("the time of enrolment is not a number", text)
    }
    return Int64(truncatingIfNeeded: seconds)
  }

  @_lifetime(copy text)
  private func slice(_ range: ByteRange, of text: Span<UInt8>) -> Span<UInt8> {
    text.slice(from: range.start, to: range.end)
  }
}
