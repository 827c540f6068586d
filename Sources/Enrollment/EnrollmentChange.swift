public import FixedMemory
internal import OneTimePassword

/// A change of an enrollment: additions, and the parts of the old credential to keep.
public struct EnrollmentChange: ~Copyable {
  /// The added devices and backup codes, as a credential file; its generation is ignored.
  public let addition: SecretBuffer

  /// The states of the added devices, in order. A device without a state is unused.
  public private(set) var states: ElementBuffer<LoginState.DeviceState>

  /// Whether the devices are kept; else the change replaces the whole enrollment.
  public let keepsDevices: Bool

  /// Whether the backup codes are kept.
  public let keepsBackupCodes: Bool

  /// The name of a device to remove; empty for none.
  public let removedDevice: ByteText

  /// Copies the texts; nil if memory is short.
  public init?(
    adding addition: Span<UInt8>, keepsDevices: Bool, keepsBackupCodes: Bool, removedDevice: Span<UInt8>
  ) {
    var removed = ByteText(capacity: removedDevice.count)
    removed.append(removedDevice)
    guard var text = SecretBuffer(capacity: addition.count), text.append(addition), removed.hasMemory,
      let states = ElementBuffer<LoginState.DeviceState>(capacity: Credential.maximumDevices)
    else { return nil }
    self.addition = text
    self.states = states
    self.keepsDevices = keepsDevices
    self.keepsBackupCodes = keepsBackupCodes
    self.removedDevice = removed
  }

  /// Adds the state of the next device of ``addition``. Returns false if there are too many.
  public mutating func add(_ state: LoginState.DeviceState) -> Bool { states.append(state) }

  fileprivate borrowing func parsedAddition() throws(EnrollmentFailure) -> Credential {
    guard var copy = SecretBuffer(capacity: addition.count), copy.append(addition.bytes) else { throw .outOfMemory }
    return try Credential(parsing: copy, isPart: true)
  }

  fileprivate borrowing func state(of index: Int) -> LoginState.DeviceState {
    states[index] ?? LoginState.DeviceState()
  }
}

/// The next version of an enrollment.
public struct RenewedEnrollment: ~Copyable {
  /// The credential file.
  public let credential: SecretBuffer

  /// The state to write with the credential.
  public let state: LoginState

  /// The enrollment of a user who was not enrolled.
  public init(_ change: borrowing EnrollmentChange, generation: Generation) throws(EnrollmentFailure) {
    let addition = try change.parsedAddition()
    guard var encoder = CredentialEncoder(generation: generation, enabledAt: addition.enabledAt) else {
      throw .outOfMemory
    }
    var state = LoginState(generation: generation)
    var index = 0
    while index < addition.deviceCount {
      encoder.addDevice(at: index, of: addition)
      state[device: index] = change.state(of: index)
      state.noteUse(ofDeviceAt: index)
      index &+= 1
    }
    encoder.addBackupCodes(of: addition)
    self = try RenewedEnrollment(encoder, state)
  }

  /// Changes `old`. Used codes stay used: those of kept devices and of devices with the same key, kept backup codes,
  /// and added ones with the same hash. `now` is Unix time.
  public init<Lock: EnrollmentLock & ~Copyable>(
    _ change: borrowing EnrollmentChange, generation: Generation, over old: borrowing LockedEnrollment<Lock>, now: Int64
  ) throws(EnrollmentFailure) {
    let addition = try change.parsedAddition()
    let enabledAt = change.keepsDevices ? old.credential.enabledAt : addition.enabledAt
    guard var encoder = CredentialEncoder(generation: generation, enabledAt: enabledAt) else { throw .outOfMemory }
    var state = LoginState(generation: generation)
    if change.keepsDevices {
      state = old.state.value
      state.generation = generation
      if !change.keepsBackupCodes { state.forgetSpentBackupCodes() }
      // A login with the removed device no longer counts for a grace period.
      if change.removedDevice.count > 0 { state.endGrace() }
    }

    var count = 0
    var index = 0
    while change.keepsDevices, index < old.credential.deviceCount {
      if !old.credential.name(ofDeviceAt: index).isEqual(to: change.removedDevice.bytes) {
        encoder.addDevice(at: index, of: old.credential)
        state[device: count] = old.state.value[device: index]
        count &+= 1
      }
      index &+= 1
    }
    index = 0
    while index < addition.deviceCount {
      encoder.addDevice(at: index, of: addition)
      var added = change.state(of: index)
      added.nextFactor = Swift.max(added.nextFactor, usedFactor(ofDeviceAt: index, of: addition, in: old, now: now))
      state[device: count] = added
      if !change.keepsDevices { state.noteUse(ofDeviceAt: count) }
      count &+= 1
      index &+= 1
    }
    while count < Credential.maximumDevices {
      state[device: count] = LoginState.DeviceState()
      count &+= 1
    }

    if change.keepsBackupCodes {
      encoder.addBackupCodes(of: old.credential)
      if !change.keepsDevices { state.spend(backupCodes: old.state.value.spentBackupCodes) }
    } else {
      encoder.addBackupCodes(of: addition)
      state.spendBackupCodes(of: addition, usedIn: old)
    }
    self = try RenewedEnrollment(encoder, state)
  }

  /// Sets the clock offset of the device at `index`, in time steps. `state` is the next one of `old`.
  public init<Lock: EnrollmentLock & ~Copyable>(
    clockOffset: Int64, ofDeviceAt index: Int, generation: Generation, over old: borrowing LockedEnrollment<Lock>,
    state: LoginState
  ) throws(EnrollmentFailure) {
    guard var encoder = CredentialEncoder(generation: generation, enabledAt: old.credential.enabledAt) else {
      throw .outOfMemory
    }
    var other = 0
    while other < old.credential.deviceCount {
      encoder.addDevice(at: other, of: old.credential, clockOffset: other == index ? clockOffset : nil)
      other &+= 1
    }
    encoder.addBackupCodes(of: old.credential)
    var next = state
    next.generation = generation
    self = try RenewedEnrollment(encoder, next)
  }

  /// Parses the credential as a login will, so that no invalid one is written.
  private init(_ encoder: consuming CredentialEncoder, _ state: LoginState) throws(EnrollmentFailure) {
    guard let text = encoder.finish() else {
      throw EnrollmentFailure(.corrupt, "credential", "cannot be encoded: too many devices, or out of memory")
    }
    try Self.checkReadable(text)
    credential = text
    self.state = state
  }

  private static func checkReadable(_ text: borrowing SecretBuffer) throws(EnrollmentFailure) {
    guard var copy = SecretBuffer(capacity: text.count), copy.append(text.bytes) else { throw .outOfMemory }
    _ = try Credential(parsing: copy)
  }
}

/// Used steps stay used up to this many steps ahead of the device's clock: the widest window (10 steps), the largest
/// offset of `device resync` (21), which an earlier import may have dropped, and one. Later ones came from a wrong
/// clock.
private var furthestStep: UInt64 { 32 }

/// The lowest unused factor of a new device from the old devices with the same key; 0 if there is none.
private func usedFactor<Lock: EnrollmentLock & ~Copyable>(
  ofDeviceAt index: Int, of new: borrowing Credential, in old: borrowing LockedEnrollment<Lock>, now: Int64
) -> UInt64 {
  guard let device = new.device(at: index) else { return 0 }
  var lowest: UInt64 = 0
  var other = 0
  while let oldDevice = old.credential.device(at: other) {
    let isSame = new.secret(ofDeviceAt: index)
      .isEqualInConstantTime(to: old.credential.secret(ofDeviceAt: other))
    let next = old.state.value[device: other].nextFactor
    other &+= 1
    guard isSame else { continue }
    switch (oldDevice.kind, device.kind) {
    case (.totp(let period), .totp(let newPeriod)):
      guard period == newPeriod, let step = oldDevice.timeStep(at: now) else { continue }
      lowest = Swift.max(lowest, Swift.min(next, step &+ furthestStep))
    case (.hotp, .hotp): if next <= LoginState.highestCounter { lowest = Swift.max(lowest, next) }
    default: break
    }
  }
  return lowest
}

extension LoginState {
  /// An imported device may have been used before.
  fileprivate mutating func noteUse(ofDeviceAt index: Int) {
    lastUsedAt = Swift.max(lastUsedAt, self[device: index].lastUsedAt)
  }

  /// Keeps failures, throttling, devices and the times of use.
  fileprivate mutating func forgetSpentBackupCodes() {
    let old = self
    self = LoginState(generation: old.generation)
    failures = old.failures
    throttledUntil = old.throttledUntil
    earlyGuesses = old.earlyGuesses
    backupCodeUsedAt = old.backupCodeUsedAt
    lastUsedAt = old.lastUsedAt
    var index = 0
    while index < Credential.maximumDevices {
      self[device: index] = old[device: index]
      index &+= 1
    }
  }

  /// Spends backup codes with the hashes of spent ones. If a state was lost, all old codes count as spent, and none of
  /// the new ones.
  fileprivate mutating func spendBackupCodes<Lock: EnrollmentLock & ~Copyable>(
    of new: borrowing Credential, usedIn old: borrowing LockedEnrollment<Lock>
  ) {
    guard old.state.value.spentBackupCodes != UInt32.max else { return }
    var index = 0
    while index < new.backupCodeCount {
      var other = 0
      while other < old.credential.backupCodeCount {
        let isSame = new.backupCodeHash(at: index).isEqualInConstantTime(to: old.credential.backupCodeHash(at: other))
        if isSame, old.state.value.isSpent(backupCodeAt: other) { spend(backupCodeAt: index) }
        other &+= 1
      }
      index &+= 1
    }
  }
}

extension CredentialEncoder {
  fileprivate mutating func addBackupCodes(of credential: borrowing Credential) {
    var index = 0
    while index < credential.backupCodeCount {
      addBackupCode(credential.backupCodeHash(at: index), isScratchCode: credential.isScratchCode(at: index))
      index &+= 1
    }
  }
}

extension EnrollmentFailure {
  fileprivate static var outOfMemory: EnrollmentFailure { EnrollmentFailure(.io, "credential", "out of memory") }
}
