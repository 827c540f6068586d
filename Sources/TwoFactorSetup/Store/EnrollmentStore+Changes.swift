import Enrollment
import FixedMemory

/// Changes of the credential that is in force. What logins used up stays used up.
extension EnrollmentStore {
  /// Puts new backup codes in the place of all old ones.
  ///
  /// - Parameter hashes: Their hashes, all under one salt.
  /// - Throws: ``SetupError``; then the old ones are in force.
  func replaceBackupCodes(by hashes: [String]) throws {
    try rewrite { encoder, credential, state in
      for index in 0..<credential.deviceCount { encoder.addDevice(at: index, of: credential) }
      for hash in hashes { encoder.addBackupCode(hash.utf8.span) }
      state.forgetSpentBackupCodes()
    }
  }

  /// Adds a device behind those that are there.
  ///
  /// - Parameters:
  ///   - device: The device.
  ///   - deviceState: What of it is used up.
  /// - Throws: ``SetupError``; then it is not there.
  func addDevice(_ device: CredentialDraft.Device, state deviceState: LoginState.DeviceState) throws {
    let secret = try device.secret()
    try rewrite { encoder, credential, state in
      guard credential.index(ofDeviceNamed: device.parameters.name) == nil else {
        throw SetupError.deviceExists(device.parameters.name)
      }
      for index in 0..<credential.deviceCount { encoder.addDevice(at: index, of: credential) }
      encoder.addDevice(
        kind: device.parameters.kind, algorithm: device.parameters.algorithm, digits: device.parameters.digits,
        enabledAt: device.enabledAt, secret: secret.bytes, name: device.parameters.name.utf8.span)
      encoder.addBackupCodes(of: credential)
      state[device: credential.deviceCount] = deviceState
    }
  }

  /// Takes a device away. The last one stays: that is for `disable` to end.
  ///
  /// - Throws: ``SetupError`` where there is no device of that name, or no other.
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
      // Whoever was let in with the device that goes is asked again.
      state.endGrace()
    }
  }

  /// Forgets failed codes, and with them the time until the next code is looked at.
  func forgetFailures() throws {
    try changing { identity in
      let opened = try open(&identity)
      var locked = try lock(opened)
      locked.state.value.forgetFailures()
      try locked.save()
    }
  }

  /// Writes a new version of the credential, and its state, in one step.
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
  /// Adds all backup codes of another credential, in their order.
  fileprivate mutating func addBackupCodes(of credential: borrowing Credential) {
    for index in 0..<credential.backupCodeCount {
      addBackupCode(credential.backupCodeHash(at: index), isScratchCode: credential.isScratchCode(at: index))
    }
  }
}

extension Credential {
  /// The place of the device with this name, or nil.
  func index(ofDeviceNamed wanted: String) -> Int? {
    (0..<deviceCount).first { String(decoding: name(ofDeviceAt: $0)) == wanted }
  }
}

extension LoginState {
  /// Begins with new backup codes, of which none is spent.
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
  /// No device has this name.
  static func noDevice(_ name: String) -> SetupError {
    SetupError(.refused, "there is no device named \(name)", hint: "see: twofactor device list")
  }

  /// A device has this name.
  static func deviceExists(_ name: String) -> SetupError {
    SetupError(.refused, "there is a device named \(name) already", hint: "choose another name")
  }

  /// The device is the only one.
  static func lastDevice(_ name: String) -> SetupError {
    SetupError(
      .refused, "\(name) is the only device", hint: "add another one first, or switch off with: twofactor disable")
  }
}
