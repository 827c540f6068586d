public import FixedMemory
internal import OneTimePassword

extension Credential {
  /// Parses a credential file, and keeps its bytes. Each credential has exactly one encoding. `isPart` allows a file
  /// without devices.
  public init(parsing file: consuming SecretBuffer, isPart: Bool = false) throws(EnrollmentFailure) {
    guard let secrets = SecretBuffer(capacity: file.bytes.count),
      let devices = ElementBuffer<Device>(capacity: Self.maximumDevices),
      let backupCodes = ElementBuffer<BackupCode>(capacity: Self.maximumBackupCodes)
    else { throw EnrollmentFailure(.io, "credential", "out of memory") }
    var parser = CredentialParser(secrets: secrets, devices: devices, backupCodes: backupCodes)
    try parser.parse(file.bytes, isPart: isPart)
    self = parser.finish(file)
  }
}

private struct CredentialParser: ~Copyable {
  private var reader = TextReader()
  private var generation = Generation(low: 0, high: 0)
  private var enabledAt: Int64 = 0
  private var secrets: SecretBuffer
  private var devices: ElementBuffer<Device>
  private var backupCodes: ElementBuffer<Credential.BackupCode>

  /// The setting of the first backup code, which all others must have.
  private var setting = ByteRange()

  init(
    secrets: consuming SecretBuffer, devices: consuming ElementBuffer<Device>,
    backupCodes: consuming ElementBuffer<Credential.BackupCode>
  ) {
    self.secrets = secrets
    self.devices = devices
    self.backupCodes = backupCodes
  }

  consuming func finish(_ text: consuming SecretBuffer) -> Credential {
    Credential(
      text: text, secrets: secrets, devices: devices, backupCodes: backupCodes, generation: generation,
      enabledAt: enabledAt)
  }

  /// A failure in the current line. If that line lacks a line feed, the file was truncated.
  @inline(never)
  private func failure(_ problem: Literal, _ text: Span<UInt8>) -> EnrollmentFailure {
    EnrollmentFailure(
      .corrupt, "credential", reader.isInUnterminatedLine(of: text) ? "is truncated" : problem,
      line: reader.lineNumber(in: text))
  }

  mutating func parse(_ text: Span<UInt8>, isPart: Bool) throws(EnrollmentFailure) {
    guard text.count > 0 else { throw EnrollmentFailure(.corrupt, "credential", "is empty") }
    guard text.count <= Credential.maximumLength else {
      throw EnrollmentFailure(.corrupt, "credential", "is too long")
    }
    guard reader.skip("twofactor-credential ", in: text) else {
      throw EnrollmentFailure(.corrupt, "credential", "is not a credential", line: 1)
    }
    guard reader.skip("1\n", in: text) else { throw failure("has an unknown version", text) }

    guard reader.skip("generation ", in: text) else { throw failure("the generation is missing", text) }
    guard let generation = Generation(hexadecimal: reader.line(in: text)) else {
      throw failure("the generation is not 32 hexadecimal digits", text)
    }
    self.generation = generation

    guard reader.skip("enabled ", in: text) else { throw failure("the enrollment time is missing", text) }
    enabledAt = try time(reader.line(in: text), text)

    while reader.skip("device ", in: text) { try parseDevice(text) }
    guard isPart || devices.count > 0 else { throw failure("has no device", text) }

    while true {
      let isScratchCode = !reader.skip("backup-code ", in: text)
      guard !isScratchCode || reader.skip("scratch-code ", in: text) else { break }
      try parseBackupCode(text, isScratchCode: isScratchCode)
    }
    guard reader.skip("end\n", in: text) else { throw failure("unknown line", text) }
    guard reader.isAtEnd(of: text) else { throw failure("has text after its end", text) }
  }

  private mutating func parseDevice(_ text: Span<UInt8>) throws(EnrollmentFailure) {
    let isTOTP = reader.skip("type=totp ", in: text)
    guard isTOTP || reader.skip("type=hotp ", in: text) else { throw failure("unknown device type", text) }
    let algorithm = try parseAlgorithm(text)
    let digits = try parseDigits(text)
    let kind = isTOTP ? try parsePeriod(text) : try parseCounter(text)
    let clockOffset = isTOTP ? try parseClockOffset(text) : 0

    guard reader.skip("enabled=", in: text) else { throw failure("the enrollment time is missing", text) }
    let enabledAt = try time(reader.word(in: text), text)

    guard reader.skip("secret=", in: text) else { throw failure("the secret is missing", text) }
    let start = secrets.count
    guard Base32.decode(reader.word(in: text), into: &secrets) else { throw failure("the secret is not Base32", text) }
    let secret = ByteRange(start: start, end: secrets.count)
    guard SharedSecret.lengths.contains(secret.end &- secret.start) else {
      throw failure("the secret is too short or too long", text)
    }

    guard reader.skip("name=", in: text) else { throw failure("the name is missing", text) }
    guard let name = reader.range(upTo: UInt8(ascii: "\n"), in: text) else { throw failure("is truncated", text) }
    guard DeviceName.isValid(text.slice(name)) else { throw failure("invalid device name", text) }
    try requireUnique(name: name, secret: secret, text)
    let device = Device(
      kind: kind, algorithm: algorithm, digits: digits, clockOffset: clockOffset, enabledAt: enabledAt, secret: secret,
      name: name)
    guard devices.append(device) else { throw failure("too many devices", text) }
  }

  private mutating func parseAlgorithm(_ text: Span<UInt8>) throws(EnrollmentFailure) -> HashAlgorithm {
    if reader.skip("algorithm=sha1 ", in: text) { return .sha1 }
    if reader.skip("algorithm=sha256 ", in: text) { return .sha256 }
    if reader.skip("algorithm=sha512 ", in: text) { return .sha512 }
    throw failure("unknown algorithm", text)
  }

  private mutating func parseDigits(_ text: Span<UInt8>) throws(EnrollmentFailure) -> CodeDigits {
    if reader.skip("digits=6 ", in: text) { return .six }
    if reader.skip("digits=8 ", in: text) { return .eight }
    throw failure("the digits are neither 6 nor 8", text)
  }

  private mutating func parsePeriod(_ text: Span<UInt8>) throws(EnrollmentFailure) -> Device.Kind {
    guard reader.skip("period=", in: text),
      let period = reader.word(in: text).decimal(upTo: UInt64(TimeStep.periods.upperBound)),
      TimeStep.periods.contains(Int64(truncatingIfNeeded: period))
    else { throw failure("the period is not 15 to 300 seconds", text) }
    return .totp(period: Int64(truncatingIfNeeded: period))
  }

  /// Zero has no field.
  private mutating func parseClockOffset(_ text: Span<UInt8>) throws(EnrollmentFailure) -> Int64 {
    guard reader.skip("offset=", in: text) else { return 0 }
    let isBehind = reader.skip("-", in: text)
    guard let steps = reader.word(in: text).decimal(upTo: UInt64(Device.clockOffsets.upperBound)), steps > 0 else {
      throw failure("the clock offset is not -3000 to 3000 time steps", text)
    }
    let offset = Int64(truncatingIfNeeded: steps)
    return isBehind ? 0 &- offset : offset
  }

  private mutating func parseCounter(_ text: Span<UInt8>) throws(EnrollmentFailure) -> Device.Kind {
    guard reader.skip("counter=", in: text),
      let counter = reader.word(in: text).decimal(upTo: LoginState.highestCounter)
    else { throw failure("the counter is not a number", text) }
    return .hotp(counter: counter)
  }

  private func requireUnique(name: ByteRange, secret: ByteRange, _ text: Span<UInt8>) throws(EnrollmentFailure) {
    var index = 0
    while let other = devices[index] {
      index &+= 1
      if text.slice(other.name).isEqual(to: text.slice(name)) { throw failure("two devices have the same name", text) }
      // Otherwise each of them would accept the same code once.
      if secrets.bytes.slice(other.secret).isEqualInConstantTime(to: secrets.bytes.slice(secret)) {
        throw failure("two devices have the same secret", text)
      }
    }
  }

  @_optimize(speed)
  private mutating func parseBackupCode(_ text: Span<UInt8>, isScratchCode: Bool) throws(EnrollmentFailure) {
    guard let range = reader.range(upTo: UInt8(ascii: "\n"), in: text) else { throw failure("is truncated", text) }
    let hash = text.slice(range)
    if backupCodes.count == 0 {
      let length = BackupCodeHash.settingLength(of: hash)
      guard length > 0 else { throw failure("the backup code is not a yescrypt hash", text) }
      setting = ByteRange(start: range.start, end: range.start &+ length)
    }
    guard BackupCodeHash.isValid(hash, setting: text.slice(setting)) else {
      throw failure(
        BackupCodeHash.isValid(hash)
          ? "the backup codes have different salts" : "the backup code is not a yescrypt hash",
        text)
    }
    guard backupCodes.append(Credential.BackupCode(hash: range, isScratchCode: isScratchCode)) else {
      throw failure("too many backup codes", text)
    }
  }

  private func time(_ digits: Span<UInt8>, _ text: Span<UInt8>) throws(EnrollmentFailure) -> Int64 {
    guard let seconds = digits.decimal(upTo: UInt64(Int64.max)) else {
      throw failure("the enrollment time is not a number", text)
    }
    return Int64(truncatingIfNeeded: seconds)
  }
}

/// A position in a text. The caller passes the text to each call.
private struct TextReader {
  private var position = 0

  /// Before the last step.
  private var stepStart = 0

  func isAtEnd(of text: Span<UInt8>) -> Bool { position >= text.count }

  /// The line, from 1, of the last step; at the end of the text, the last line.
  func lineNumber(in text: Span<UInt8>) -> UInt32 {
    var number: UInt32 = 1
    var start = 0
    while let end = text.firstIndex(of: UInt8(ascii: "\n"), from: start), end < stepStart, end &+ 1 < text.count {
      number &+= 1
      start = end &+ 1
    }
    return number
  }

  func isInUnterminatedLine(of text: Span<UInt8>) -> Bool {
    text.firstIndex(of: UInt8(ascii: "\n"), from: stepStart) == nil
  }

  /// Returns false, and does not move, if another text follows.
  mutating func skip(_ literal: Literal, in text: Span<UInt8>) -> Bool {
    stepStart = position
    guard text.starts(with: literal, at: position) else { return false }
    position &+= literal.byteCount
    return true
  }

  /// Skips the next `end`, and returns the bytes before it. If there is no `end`, returns nil and does not move.
  mutating func range(upTo end: UInt8, in text: Span<UInt8>) -> ByteRange? {
    stepStart = position
    guard let last = text.firstIndex(of: end, from: position) else { return nil }
    defer { position = last &+ 1 }
    return ByteRange(start: position, end: last)
  }

  /// Skips a word and the blank after it. If no blank follows, returns an empty word and does not move. A word with a
  /// line feed is never valid.
  @_lifetime(copy text)
  mutating func word(in text: Span<UInt8>) -> Span<UInt8> {
    text.slice(range(upTo: UInt8(ascii: " "), in: text) ?? ByteRange())
  }

  /// Skips the rest of a line. If it lacks a line feed, returns an empty text and does not move.
  @_lifetime(copy text)
  mutating func line(in text: Span<UInt8>) -> Span<UInt8> {
    text.slice(range(upTo: UInt8(ascii: "\n"), in: text) ?? ByteRange())
  }
}
