internal import Enrollment
internal import FixedMemory

/// The hash of a reply as a backup code: made once, whatever the number of codes, since all have one salt.
enum BackupCodeAttempt {
  /// Hashes a reply under the setting of an enrolment.
  ///
  /// - Returns: The hash; empty where the reply is no backup code.
  /// - Throws: Why it cannot be made.
  static func hash(
    _ reply: borrowing Reply, in directory: borrowing EnrollmentDirectory, limits: VerificationLimits
  ) throws(EnrollmentFailure) -> SecretBuffer {
    guard limits.acceptsBackupCodes, reply.backupCode.bytes.count > 0 else { return try memory() }
    return try hash(reply, under: directory.readCredential())
  }

  private static func hash(
    _ reply: borrowing Reply, under credential: borrowing Credential
  ) throws(EnrollmentFailure) -> SecretBuffer {
    if reply.isScratchCode, !credential.hasScratchCodes { return try memory() }
    if credential.backupCodeCount == 0 { return try decoy(reply) }
    return try hash(reply, setting: credential.backupCodeSetting())
  }

  /// Takes the time of hashing a reply, and keeps nothing.
  ///
  /// - Returns: Nothing: an empty hash.
  /// - Throws: Why it could not be made.
  static func decoy(_ reply: borrowing Reply) throws(EnrollmentFailure) -> SecretBuffer {
    var hash = try hash(reply, setting: BackupCodeHash.decoySetting.bytes)
    hash.removeAll()
    return hash
  }

  private static func memory() throws(EnrollmentFailure) -> SecretBuffer {
    guard let memory = SecretBuffer(capacity: BackupCodeHash.lengths.upperBound &+ 1) else {
      throw EnrollmentFailure(.io, "backup code", "out of memory")
    }
    return memory
  }

  private static func hash(
    _ reply: borrowing Reply, setting: Span<UInt8>
  ) throws(EnrollmentFailure) -> SecretBuffer {
    var hash = try memory()
    guard BackupCodeHash.make(reply.backupCode.bytes, setting: setting, into: &hash) else {
      throw EnrollmentFailure(.io, "backup code", "cannot be hashed by libcrypt")
    }
    return hash
  }
}
