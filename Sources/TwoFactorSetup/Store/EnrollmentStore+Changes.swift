import Enrollment
import HostAccess
import KeyFormats

/// Changes of an existing credential. Used codes stay used.
extension EnrollmentStore {
  /// The hashes share one salt.
  func replaceBackupCodes(by hashes: [String]) throws {
    try rewrite { encoder, credential, state in
      for index in 0..<credential.deviceCount { encoder.addDevice(at: index, of: credential) }
      for hash in hashes { encoder.addBackupCode(hash.utf8.span) }
      state.forgetSpentBackupCodes()
    }
  }

  /// `deviceState` marks its used codes.
  func addDevice(_ device: DeviceDraft, state deviceState: LoginState.DeviceState) throws {
    try rewrite { encoder, credential, state in
      guard credential.index(ofDeviceNamed: device.name) == nil else {
        throw SetupError.deviceExists(device.name)
      }
      for index in 0..<credential.deviceCount { encoder.addDevice(at: index, of: credential) }
      encoder.add(device)
      encoder.addBackupCodes(of: credential)
      state[device: credential.deviceCount] = deviceState
    }
  }

  /// Fails for the last device.
  func removeDevice(named name: String) throws {
    try rewrite { encoder, credential, state in
      guard let removed = credential.index(ofDeviceNamed: name) else { throw SetupError.noDevice(name) }
      guard credential.deviceCount > 1 else { throw SetupError.lastDevice(name) }
      for index in 0..<credential.deviceCount where index != removed {
        encoder.addDevice(at: index, of: credential)
        state[device: index < removed ? index : index - 1] = state[device: index]
      }
      state[device: credential.deviceCount - 1] = LoginState(generation: state.generation)[device: 0]
      encoder.addBackupCodes(of: credential)
      // A login with the removed device no longer counts for a grace period.
      state.endGrace()
    }
  }

  /// Ends throttling and lockout.
  func forgetFailures() throws {
    try changing { identity in
      let opened = try open(&identity)
      var locked = try lock(opened)
      locked.state.value.forgetFailures()
      try locked.save()
    }
  }

  /// Replaces credential and state atomically.
  private func rewrite(
    _ body: (inout CredentialEncoder, borrowing Credential, inout LoginState) throws -> Void
  ) throws {
    let generation = try Generation.random()
    try changing { identity in
      let opened = try open(&identity)
      let locked = try lock(opened)
      guard var encoder = CredentialEncoder(generation: generation, enabledAt: locked.credential.enabledAt) else {
        throw CredentialDraft.failure
      }
      var state = locked.state.value
      state.generation = generation
      try body(&encoder, locked.credential, &state)
      let text = try encoder.finishReadable()
      try opened.replace(locked, with: text.bytes, state: state)
    }
  }
}

extension CredentialEncoder {
  fileprivate mutating func addBackupCodes(of credential: borrowing Credential) {
    for index in 0..<credential.backupCodeCount {
      addBackupCode(credential.backupCodeHash(at: index), isScratchCode: credential.isScratchCode(at: index))
    }
  }
}

extension Credential {
  func index(ofDeviceNamed wanted: String) -> Int? {
    (0..<deviceCount).first { String(decoding: name(ofDeviceAt: $0)) == wanted }
  }
}

extension LoginState {
  fileprivate mutating func forgetSpentBackupCodes() {
    let old = self
    self = LoginState(generation: old.generation)
    failures = old.failures
    throttledUntil = old.throttledUntil
    earlyGuesses = old.earlyGuesses
    backupCodeUsedAt = old.backupCodeUsedAt
    lastUsedAt = old.lastUsedAt
    for index in 0..<Credential.maximumDevices { self[device: index] = old[device: index] }
  }
}

extension SetupError {
  static func noDevice(_ name: String) -> SetupError {
    SetupError(.refused, "no device named \(name)", hint: "see: twofactor device list")
  }

  static func deviceExists(_ name: String) -> SetupError {
    SetupError(.refused, "a device is already named \(name)", hint: "choose another name")
  }

  static func lastDevice(_ name: String) -> SetupError {
    SetupError(
      .refused, "\(name) is the only device", hint: "add another one first, or switch off with: twofactor disable")
  }
}
