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
    guard let memory = SecretBuffer(capacity: file.bytes.count) else {
      throw EnrollmentFailure(.io, "credential", "out of memory")
    }
    var secrets = memory
    var content = Content()
    var parser = CredentialParser()
    try parser.parse(file.bytes, into: &content, &secrets)
    text = file
    self.secrets = secrets
    self.content = content
  }
}

/// Where reading a credential has come to.
private struct CredentialParser {
  private var reader = LineReader()

  /// What all backup codes are hashed with, as the first one has it.
  private var setting = ByteRange()

  func failure(_ problem: Literal) -> EnrollmentFailure {
    EnrollmentFailure(.corrupt, "credential", problem, line: reader.number)
  }

  mutating func parse(
    _ text: Span<UInt8>, into content: inout Credential.Content, _ secrets: inout SecretBuffer
  ) throws(EnrollmentFailure) {
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
    content.generation = generation

    guard reader.advance(in: text), reader.skip("enabled ", in: text) else { throw failure("no time of enrolment") }
    content.enabledAt = try time(reader.rest(), of: text)

    guard reader.advance(in: text) else { throw failure("ends early") }
    while reader.skip("device ", in: text) {
      try parseDevice(text, into: &content, &secrets)
      guard reader.advance(in: text) else { throw failure("ends early") }
    }
    guard content.deviceCount > 0 else { throw failure("no device") }

    while true {
      if reader.skip("backup-code ", in: text) {
        try parseBackupCode(text, into: &content, isScratchCode: false)
      } else if reader.skip("scratch-code ", in: text) {
        try parseBackupCode(text, into: &content, isScratchCode: true)
      } else {
        break
      }
      guard reader.advance(in: text) else { throw failure("ends early") }
    }

    guard reader.isLine("end", in: text) else { throw failure("unknown line") }
    guard reader.isAtEnd(of: text) else { throw failure("goes on after its end") }
  }

  private mutating func parseDevice(
    _ text: Span<UInt8>, into content: inout Credential.Content, _ secrets: inout SecretBuffer
  ) throws(EnrollmentFailure) {
    guard content.deviceCount < Credential.maximumDevices else { throw failure("too many devices") }

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
    var indices = Counter(to: Swift.min(content.deviceCount, content.devices.count))
    while let index = indices.next() {
      // SAFETY: the index is below the length of the array.
      let other = unsafe slice(content.devices[unchecked: index].name, of: text)
      if other.isEqual(to: slice(name, of: text)) { throw failure("two devices of one name") }
      // One code would be good once for each of them.
      // SAFETY: as above.
      let range = unsafe content.devices[unchecked: index].secret
      let isSame = secrets.bytes.slice(from: range.start, to: range.end).isEqualInConstantTime(
        to: secrets.bytes.slice(from: secret.start, to: secret.end))
      if isSame { throw failure("two devices of one secret") }
    }

    // SAFETY: the count was compared with the maximum, which is the length of the array.
    unsafe content.devices[unchecked: content.deviceCount] = Device(
      kind: kind, algorithm: algorithm, digits: digits, enabledAt: enabledAt, secret: secret, name: name)
    content.deviceCount &+= 1
  }

  private mutating func parseBackupCode(
    _ text: Span<UInt8>, into content: inout Credential.Content, isScratchCode: Bool
  ) throws(EnrollmentFailure) {
    guard content.backupCodeCount < Credential.maximumBackupCodes else { throw failure("too many backup codes") }
    let range = reader.rest()
    let hash = slice(range, of: text)
    // The usual case first: another hash under the setting of those before it.
    if content.backupCodeCount == 0 || !BackupCodeHash.isValid(hash, under: slice(setting, of: text)) {
      guard BackupCodeHash.isValid(hash) else { throw failure("the backup code is not a yescrypt hash") }
      guard content.backupCodeCount == 0 else { throw failure("the backup codes have two salts") }
      setting = ByteRange(start: range.start, end: range.start &+ Credential.settingLength(of: hash))
    }
    // SAFETY: the count was compared with the maximum, which is the length of the array.
    unsafe content.backupCodes[unchecked: content.backupCodeCount] = Credential.BackupCode(
      hash: range, isScratchCode: isScratchCode)
    content.backupCodeCount &+= 1
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
