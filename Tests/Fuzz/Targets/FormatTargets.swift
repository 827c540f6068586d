import Enrollment
import FixedMemory
import LoginPolicy
import OneTimePassword
import Verification

/// The bytes in a buffer of their own, so that reading beyond them is seen.
func secret(_ bytes: [UInt8]) -> SecretBuffer {
  guard var buffer = SecretBuffer(capacity: bytes.count), buffer.append(bytes.span) else { fatalError("no memory") }
  return buffer
}

func array(_ span: Span<UInt8>) -> [UInt8] { span.indices.map { span[$0] } }

/// A credential that parses is written again as the same bytes.
func fuzzCredential(_ bytes: [UInt8]) {
  do throws(EnrollmentFailure) {
    let credential = try Credential(parsing: secret(bytes))
    guard var encoder = CredentialEncoder(generation: credential.generation, enabledAt: credential.enabledAt) else {
      fatalError("no memory")
    }
    for index in 0..<credential.deviceCount { encoder.addDevice(at: index, of: credential) }
    for index in 0..<credential.backupCodeCount {
      encoder.addBackupCode(credential.backupCodeHash(at: index), isScratchCode: credential.isScratchCode(at: index))
    }
    guard let again = encoder.finish() else { fatalError("what was read cannot be written") }
    require(array(again.bytes) == bytes, "what was read is written otherwise")
  } catch {
    var text = ByteText(capacity: 255)
    error.describe(into: &text)
    require(text.count > 0 && !text.isTruncated, "a failure without words")
  }
}

/// A record that is valid is written again as a record that says the same; with one bit changed it is damaged.
func fuzzState(_ bytes: [UInt8]) {
  _ = read(bytes)
  // The checksum is set right, or no input would ever come past it.
  var record = Array((bytes + Array(repeating: 0, count: LoginState.recordLength)).prefix(LoginState.recordLength))
  record.replaceSubrange(0..<8, with: "2FASTATE".utf8)
  let sum = checksum(record)
  for index in 0..<8 { record[1016 + index] = UInt8(truncatingIfNeeded: sum >> (8 * UInt64(index))) }
  guard let found = read(record) else { return }

  let written = LoginFuzzing.record(of: found.state, sequence: found.sequence)
  guard let again = read(written) else { fatalError("a record that was written") }
  let writtenAgain = LoginFuzzing.record(of: again.state, sequence: again.sequence)
  require(written == writtenAgain, "a record changes when it is read and written")

  let bit = bytes.reduce(0) { ($0 &* 31 &+ Int($1)) & 0xffff } % (LoginState.recordLength * 8)
  record[bit / 8] ^= 1 << UInt8(bit % 8)
  if read(record) != nil { fatalError("bit \(bit) is changed and not missed") }
}

/// What a record says; nil where it is none.
private func read(_ bytes: [UInt8]) -> (sequence: UInt64, state: LoginState)? {
  let record = LoginState.Record(bytes.span)
  guard record.isIntact, record.hasKnownVersion else { return nil }
  var state = LoginState(generation: record.generation)
  record.read(into: &state)
  return (record.sequence, state)
}

/// As pam/credential-format.md has it.
private func checksum(_ record: [UInt8]) -> UInt64 {
  var hash: UInt64 = 0xcbf2_9ce4_8422_2325
  for offset in stride(from: 0, to: 1016, by: 8) {
    var word: UInt64 = 0
    for index in 0..<8 { word |= UInt64(record[offset + index]) << (8 * UInt64(index)) }
    hash = (hash ^ word) &* 0x0000_0100_0000_01b3
    hash ^= hash >> 29
  }
  return hash
}

/// Arguments are refused, or make a policy in which everything is in its range.
func fuzzArguments(_ bytes: [UInt8]) {
  fuzzPolicy { policy throws(PolicyProblem) in
    for argument in bytes.split(separator: 0, omittingEmptySubsequences: false) {
      try policy.read(Array(argument).span)
    }
  }
}

/// A configuration file is refused, or makes a policy in which everything is in its range.
func fuzzConfiguration(_ bytes: [UInt8]) {
  fuzzPolicy { policy throws(PolicyProblem) in try policy.read(file: secret(bytes)) }
}

private func fuzzPolicy(_ read: (inout Policy) throws(PolicyProblem) -> Void) {
  do throws(PolicyProblem) {
    var policy = Policy()
    try read(&policy)
    try policy.check()
    require(policy.limits.window <= 10, "a window out of its range")
    require((1...100).contains(policy.limits.lookAhead), "look_ahead out of its range")
    require((1...100).contains(policy.limits.maximumFailures), "max_failures out of its range")
    require(policy.prompt.count <= 128, "a prompt out of its range")
    require((try? EnrollmentPath.isTemplate(policy.directory)) == true, "no directory")
  } catch {
    var text = ByteText(capacity: 255)
    error.describe(into: &text, path: Array("/conf".utf8).span)
    require(text.count > 0, "a problem without words")
  }
}

/// A reply that is a code has one normal form.
func fuzzReply(_ bytes: [UInt8]) {
  do throws(Reply.Problem) {
    let reply = try Reply(bytes.span)
    for digits in [CodeDigits.six, .eight] {
      if let code = reply.code(digits) { require(code < digits.modulus, "more digits than the code has") }
    }
    let backupCode = array(reply.backupCode.bytes)
    guard !backupCode.isEmpty else {
      require(reply.code(.six) != nil, "neither a device's code nor a backup code")
      return
    }
    require(backupCode.count == (reply.isScratchCode ? 8 : Reply.backupCodeLength), "a backup code of another length")
    let again = try Reply(backupCode.span)
    require(array(again.backupCode.bytes) == backupCode, "a normal form that is not one")
  } catch {
    return
  }
}
