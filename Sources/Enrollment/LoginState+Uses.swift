internal import FixedMemory

extension LoginState {
  /// Marks the used codes of another state of the same credential as used, and keeps the higher number of failures.
  package mutating func addUses(of other: LoginState) {
    var indices = Counter(to: Credential.maximumDevices)
    while let index = indices.next() {
      let (own, others) = (self[device: index], other[device: index])
      self[device: index] = DeviceState(
        nextFactor: Swift.max(own.nextFactor, others.nextFactor),
        lastUsedAt: Swift.max(own.lastUsedAt, others.lastUsedAt))
    }
    spend(backupCodes: other.spentBackupCodes)
    lastUsedAt = Swift.max(lastUsedAt, other.lastUsedAt)
    backupCodeUsedAt = Swift.max(backupCodeUsedAt, other.backupCodeUsedAt)
    failures = Swift.max(failures, other.failures)
    throttledUntil = Swift.max(throttledUntil, other.throttledUntil)
    earlyGuesses = Swift.max(earlyGuesses, other.earlyGuesses)
  }
}
