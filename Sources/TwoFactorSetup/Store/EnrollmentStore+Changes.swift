import Enrollment
import FixedMemory
import HostAccess
import KeyFormats
import SystemFiles
import Verification

/// Changes of an enrollment. Used codes stay used.
extension EnrollmentStore {
  /// Creates or replaces the enrollment. If this throws, the old one stays. `states` are those of the devices.
  func switchOn(_ draft: CredentialDraft, states: [LoginState.DeviceState], over standing: Standing) throws {
    try make(draft.change(states: states), over: standing)
    restoreLabels()
  }

  /// The hashes share one salt.
  func replaceBackupCodes(by hashes: [String]) throws {
    try make(CredentialDraft(backupCodeHashes: hashes).change(keepsDevices: true))
  }

  /// `state` marks the used codes of the device.
  func addDevice(_ device: DeviceDraft, state: LoginState.DeviceState) throws {
    let change = try CredentialDraft(devices: [device])
      .change(states: [state], keepsDevices: true, keepsBackupCodes: true)
    try make(change) { credential in
      guard credential.index(ofDeviceNamed: device.name) == nil else {
        throw SetupError.deviceExists(device.name)
      }
    }
  }

  /// Fails for the last device.
  func removeDevice(named name: String) throws {
    let change = try CredentialDraft().change(keepsDevices: true, keepsBackupCodes: true, removedDevice: name)
    try make(change) { credential in
      guard credential.index(ofDeviceNamed: name) != nil else { throw SetupError.noDevice(name) }
      guard credential.deviceCount > 1 else { throw SetupError.lastDevice(name) }
    }
  }

  /// Finds two consecutive codes of a device, and stores its counter or clock offset.
  func resync(
    deviceNamed name: String, _ first: borrowing SecretBuffer, _ second: borrowing SecretBuffer
  ) throws -> ResyncVerdict {
    if let helper { return try helper.resync(name, first.bytes, second.bytes) }
    guard let generation = Generation.new() else { throw CredentialDraft.failure }
    return try changing { identity in
      let opened = try open(&identity)
      return try DeviceResync(
        ofDeviceNamed: name.utf8.span, first.bytes, second.bytes, in: opened, limits: settings.limits,
        generation: generation
      ).verdict
    }
  }

  /// Ends throttling and lockout.
  func forgetFailures() throws {
    if let helper { return try helper.unlock() }
    try changing { identity in
      let opened = try open(&identity)
      var locked = try lock(opened)
      locked.state.value.forgetFailures()
      try locked.save()
    }
  }

  /// Replaces credential and state atomically, unless `check` of the locked credential throws. The helper makes the
  /// change only if the credential is still the one whose code was checked.
  private func make(
    _ change: borrowing EnrollmentChange, over standing: Standing = .enrolled,
    check: (borrowing Credential) throws -> Void = { _ in }
  ) throws {
    if let helper { return try helper.replace(change) }
    guard let generation = Generation.new() else { throw CredentialDraft.failure }
    let tag = try Self.randomTag()
    let place = try files()
    try changing { identity in
      switch standing {
      case .absent:
        let first = try encoding { () throws(EnrollmentFailure) in try RenewedEnrollment(change, generation: generation)
        }
        try EnrollmentDirectory.create(
          place.path, of: keeper.entry, credential: first.credential.bytes, state: first.state, tag: tag,
          identity: &identity)
      case .enrolled:
        let opened = try open(&identity)
        let locked = try lock(opened)
        try check(locked.credential)
        let next = try encoding { () throws(EnrollmentFailure) in
          try RenewedEnrollment(change, generation: generation, over: locked, now: SystemClock.now)
        }
        try opened.replace(locked, with: next.credential.bytes, state: next.state)
      case .unusable:
        let opened = try open(&identity)
        let first = try encoding { () throws(EnrollmentFailure) in try RenewedEnrollment(change, generation: generation)
        }
        try opened.replaceUnusable(
          place.path, of: keeper.entry, credential: first.credential.bytes, state: first.state, tag: tag,
          identity: &identity)
      }
    }
  }

  private func encoding(_ body: () throws(EnrollmentFailure) -> RenewedEnrollment) throws -> RenewedEnrollment {
    do throws(EnrollmentFailure) {
      return try body()
    } catch {
      // The failure would report a corrupt file.
      throw CredentialDraft.failure
    }
  }
}

extension Credential {
  func index(ofDeviceNamed wanted: String) -> Int? {
    (0..<deviceCount).first { String(decoding: name(ofDeviceAt: $0)) == wanted }
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
