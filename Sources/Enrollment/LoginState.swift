internal import FixedMemory

/// The part of an enrollment that logins change: used codes, failures and grace periods. Belongs to one generation of
/// the credential; see ``StateFile``.
///
/// The words are the start of the file's ``Record``, so reading or writing it is one copy.
public struct LoginState: BitwiseCopyable, Sendable {
  /// The state of a device.
  public struct DeviceState: BitwiseCopyable, Sendable {
    /// The lowest unused moving factor: the time step after the last used one, or the next counter.
    public var nextFactor: UInt64 = 0

    /// Unix time of the last accepted code; 0 for never.
    public var lastUsedAt: Int64 = 0

    /// Unused by default.
    public init(nextFactor: UInt64 = 0, lastUsedAt: Int64 = 0) {
      self.nextFactor = nextFactor
      self.lastUsedAt = lastUsedAt
    }
  }

  /// The highest counter. The number above it marks a lost counter: the device has no valid codes any more.
  public static var highestCounter: UInt64 { UInt64.max &- 1 }

  /// In little-endian order.
  var words = InlineArray<80, UInt64>(repeating: 0)

  /// The state of a new enrollment.
  public init(generation: Generation) { self.generation = generation }

  /// The generation of its credential.
  public var generation: Generation {
    get { Generation(low: self[Place.generation], high: self[Place.generation &+ 1]) }
    set {
      self[Place.generation] = newValue.low
      self[Place.generation &+ 1] = newValue.high
    }
  }

  /// Failures since the last accepted code.
  public var failures: UInt32 {
    get { UInt32(truncatingIfNeeded: self[Place.failures]) }
    set { self[Place.failures] = UInt64(newValue) }
  }

  /// Unix time; 0 if codes are not throttled.
  public var throttledUntil: Int64 {
    get { Int64(bitPattern: self[Place.throttledUntil]) }
    set { self[Place.throttledUntil] = UInt64(bitPattern: newValue) }
  }

  /// Wrong scratch codes during throttling, since the last accepted code.
  public var earlyGuesses: UInt32 {
    get { UInt32(truncatingIfNeeded: self[Place.earlyGuesses]) }
    set { self[Place.earlyGuesses] = UInt64(newValue) }
  }

  /// Unix time of the last accepted backup code; 0 for never.
  public var backupCodeUsedAt: Int64 {
    get { Int64(bitPattern: self[Place.backupCodeUsedAt]) }
    set { self[Place.backupCodeUsedAt] = UInt64(bitPattern: newValue) }
  }

  /// Unix time of the last accepted code; 0 for never.
  public var lastUsedAt: Int64 {
    get { Int64(bitPattern: self[Place.lastUsedAt]) }
    set { self[Place.lastUsedAt] = UInt64(bitPattern: newValue) }
  }

  /// A bit for each backup code, in the order of the credential.
  public private(set) var spentBackupCodes: UInt32 {
    get { UInt32(truncatingIfNeeded: self[Place.spentBackupCodes]) }
    set { self[Place.spentBackupCodes] = UInt64(newValue) }
  }

  /// The state of a device of the credential.
  public subscript(device index: Int) -> DeviceState {
    get {
      guard index >= 0, index < Credential.maximumDevices else { return DeviceState(nextFactor: UInt64.max) }
      let place = Place.devices &+ 2 &* index
      return DeviceState(nextFactor: self[place], lastUsedAt: Int64(bitPattern: self[place &+ 1]))
    }
    set {
      guard index >= 0, index < Credential.maximumDevices else { return }
      let place = Place.devices &+ 2 &* index
      self[place] = newValue.nextFactor
      self[place &+ 1] = UInt64(bitPattern: newValue.lastUsedAt)
    }
  }

  /// Out-of-range indices count as spent.
  public func isSpent(backupCodeAt index: Int) -> Bool {
    guard index >= 0, index < Credential.maximumBackupCodes else { return true }
    return spentBackupCodes & (1 &<< UInt32(truncatingIfNeeded: index)) != 0
  }

  /// Marks a backup code as spent.
  public mutating func spend(backupCodeAt index: Int) {
    guard index >= 0, index < Credential.maximumBackupCodes else { return }
    spentBackupCodes |= 1 &<< UInt32(truncatingIfNeeded: index)
  }

  /// Marks the backup codes in `bits` as spent.
  public mutating func spend(backupCodes bits: UInt32) { spentBackupCodes |= bits }

  /// Ends throttling and lockout.
  public mutating func forgetFailures() {
    failures = 0
    throttledUntil = 0
    earlyGuesses = 0
  }

  /// Unspent backup codes.
  public func backupCodesLeft(of credential: borrowing Credential) -> Int {
    let count = Swift.max(0, Swift.min(credential.backupCodeCount, Credential.maximumBackupCodes))
    let existing = (UInt64(1) &<< UInt64(count)) &- 1
    return (UInt64(~spentBackupCodes) & existing).nonzeroBitCount
  }

  /// After a loss of the state, marks all codes as used that may have been used: TOTP codes of the current window, all
  /// backup codes, and all HOTP codes. Keeps used codes and failures that are still known. Counts at least `failures`
  /// failures, so that a loss grants no guesses.
  public mutating func assumeLoss(of credential: borrowing Credential, now: Int64, window: UInt64, failures: UInt32) {
    generation = credential.generation
    spentBackupCodes = UInt32.max
    self.failures = Swift.max(self.failures, failures)
    endGrace()
    // A clock that was set back must not make used codes valid again.
    let now = Swift.max(now, Swift.max(credential.enabledAt, lastUsedAt))
    var indices = Counter(to: Credential.maximumDevices)
    while let index = indices.next() {
      var assumed = DeviceState()
      if let device = credential.device(at: index) {
        let factor = device.factorAfterWindow(now: now, window: window)
        assumed.nextFactor = Swift.max(factor, self[device: index].nextFactor)
      }
      self[device: index] = assumed
    }
  }
}
