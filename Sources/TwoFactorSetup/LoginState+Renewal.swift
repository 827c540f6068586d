import Enrollment

extension LoginState {
  /// The state of a new version of a credential with the same devices in the same places: what they used up
  /// stays used up, and what failed stays counted. Of the backup codes, which are new, none is spent.
  init(renewing old: LoginState, generation: Generation) {
    self.init(generation: generation)
    failures = old.failures
    throttledUntil = old.throttledUntil
    backupCodeUsedAt = old.backupCodeUsedAt
    lastUsedAt = old.lastUsedAt
    for index in 0..<Credential.maximumDevices { self[device: index] = old[device: index] }
  }
}
