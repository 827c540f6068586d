import Enrollment
import FixedMemory
import LoginPolicy
import OneTimePassword
import Verification

/// The bytes in a buffer of their own, so that the address sanitizer detects reading beyond them.
func secret(_ bytes: [UInt8]) -> SecretBuffer {
  guard var buffer = SecretBuffer(capacity: bytes.count), buffer.append(bytes.span) else { fatalError("no memory") }
  return buffer
}

func array(_ span: Span<UInt8>) -> [UInt8] { span.indices.map { span[$0] } }

/// Encoding a parsed credential returns the same bytes.
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
    guard let again = encoder.finish() else { fatalError("a parsed credential cannot be encoded") }
    require(array(again.bytes) == bytes, "a parsed credential is encoded differently")
  } catch {
    var text = ByteText(capacity: 255)
    error.describe(into: &text)
    require(text.count > 0 && !text.isTruncated, "a failure without a description")
  }
}

/// A valid record has the same state after it is written again; flipping a bit makes it invalid.
func fuzzState(_ bytes: [UInt8]) {
  _ = read(bytes)
  // Set a valid checksum, because the fuzzer would not find one.
  var record = Array((bytes + Array(repeating: 0, count: LoginState.recordLength)).prefix(LoginState.recordLength))
  record.replaceSubrange(0..<8, with: "2FASTATE".utf8)
  let sum = checksum(record)
  for index in 0..<8 { record[1016 + index] = UInt8(truncatingIfNeeded: sum >> (8 * UInt64(index))) }
  guard let found = read(record) else { return }

  let written = LoginFuzzing.record(of: found.state, sequence: found.sequence)
  guard let again = read(written) else { fatalError("a written record is invalid") }
  let writtenAgain = LoginFuzzing.record(of: again.state, sequence: again.sequence)
  require(written == writtenAgain, "a record changes when it is written again")

  let bit = bytes.reduce(0) { ($0 &* 31 &+ Int($1)) & 0xffff } % (LoginState.recordLength * 8)
  record[bit / 8] ^= 1 << UInt8(bit % 8)
  if read(record) != nil { fatalError("flipping bit \(bit) is not detected") }
}

/// The content of a record; nil if it is invalid.
private func read(_ bytes: [UInt8]) -> (sequence: UInt64, state: LoginState)? {
  let record = LoginState.Record(bytes.span)
  guard record.isIntact, record.hasKnownVersion else { return nil }
  var state = LoginState(generation: record.generation)
  record.read(into: &state)
  return (record.sequence, state)
}

/// The checksum as specified in pam/credential-format.md.
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

/// Arguments are rejected, or result in a policy with all values in range.
func fuzzArguments(_ bytes: [UInt8]) {
  fuzzPolicy { policy throws(PolicyProblem) in
    for argument in bytes.split(separator: 0, omittingEmptySubsequences: false) {
      try policy.read(Array(argument).span)
    }
  }
}

/// A configuration file is rejected, or results in a policy with all values in range.
func fuzzConfiguration(_ bytes: [UInt8]) {
  fuzzPolicy { policy throws(PolicyProblem) in try policy.read(file: secret(bytes)) }
}

private func fuzzPolicy(_ read: (inout Policy) throws(PolicyProblem) -> Void) {
  do throws(PolicyProblem) {
    var policy = Policy()
    try read(&policy)
    try policy.check()
    require(policy.limits.window <= 10, "window is out of range")
    require((1...100).contains(policy.limits.lookAhead), "look_ahead is out of range")
    require((1...100).contains(policy.limits.maximumFailures), "max_failures is out of range")
    require(policy.prompt.count <= 128, "prompt is out of range")
    require((try? EnrollmentPath.isTemplate(policy.directory)) == true, "the directory is invalid")
  } catch {
    var text = ByteText(capacity: 255)
    error.describe(into: &text, path: Array("/conf".utf8).span)
    require(text.count > 0, "a problem without a description")
  }
}

/// A valid reply has one canonical form.
func fuzzReply(_ bytes: [UInt8]) {
  do throws(Reply.Problem) {
    let reply = try Reply(bytes.span)
    for digits in [CodeDigits.six, .eight] {
      if let code = reply.code(digits) { require(code < digits.modulus, "the code has too many digits") }
    }
    let backupCode = array(reply.backupCode.bytes)
    guard !backupCode.isEmpty else {
      require(reply.code(.six) != nil, "a reply with neither a TOTP or HOTP code nor a backup code")
      return
    }
    require(backupCode.count == (reply.isScratchCode ? 8 : Reply.backupCodeLength), "a backup code of wrong length")
    let again = try Reply(backupCode.span)
    require(array(again.backupCode.bytes) == backupCode, "the canonical form of a backup code changes")
  } catch {
    return
  }
}
