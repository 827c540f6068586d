internal import FixedMemory

/// What logins change: which codes are used up, and how many failed. It belongs to one version of the
/// credential, and is a plain value; ``StateFile`` keeps it on the disk.
///
/// The value is the record of the file itself (see ``Record``), as far as that is not empty: reading and writing it
/// is one copy.
public struct LoginState: BitwiseCopyable, Sendable {
  /// One device's part of the state.
  public struct DeviceState: Sendable {
    /// The lowest moving factor that is still good: the time step after the last one used, or the next counter.
    public var nextFactor: UInt64 = 0

    /// When it last let its owner in, in seconds since the epoch; 0 for never.
    public var lastUsedAt: Int64 = 0

    /// A device with these.
    public init(nextFactor: UInt64 = 0, lastUsedAt: Int64 = 0) {
      self.nextFactor = nextFactor
      self.lastUsedAt = lastUsedAt
    }
  }

  /// The highest counter that an HOTP device can be at. The one above is that of a device whose counter was
  /// lost: no code of it is good any more.
  public static var highestCounter: UInt64 { UInt64.max &- 1 }

  /// The words of the record, as they stand in the file: little-endian.
  var words = InlineArray<80, UInt64>(repeating: 0)

  /// The state of a new enrolment: nothing used, nothing failed.
  public init(generation: Generation) { self.generation = generation }

  /// The version of the credential that it belongs to.
  public var generation: Generation {
    get { Generation(low: self[Place.generation], high: self[Place.generation &+ 1]) }
    set {
      self[Place.generation] = newValue.low
      self[Place.generation &+ 1] = newValue.high
    }
  }

  /// How many codes failed since the last that was right.
  public var failures: UInt32 {
    get { UInt32(truncatingIfNeeded: self[Place.failures]) }
    set { self[Place.failures] = UInt64(newValue) }
  }

  /// Until when codes are refused unseen, in seconds since the epoch; 0 for not at all.
  public var throttledUntil: Int64 {
    get { Int64(bitPattern: self[Place.throttledUntil]) }
    set { self[Place.throttledUntil] = UInt64(bitPattern: newValue) }
  }

  /// How many eight-digit backup codes were wrong while codes were refused, since the last code that was right.
  public var earlyGuesses: UInt32 {
    get { UInt32(truncatingIfNeeded: self[Place.earlyGuesses]) }
    set { self[Place.earlyGuesses] = UInt64(newValue) }
  }

  /// When a backup code was last used, in seconds since the epoch; 0 for never.
  public var backupCodeUsedAt: Int64 {
    get { Int64(bitPattern: self[Place.backupCodeUsedAt]) }
    set { self[Place.backupCodeUsedAt] = UInt64(bitPattern: newValue) }
  }

  /// When the user last got in with any code, in seconds since the epoch; 0 for never.
  public var lastUsedAt: Int64 {
    get { Int64(bitPattern: self[Place.lastUsedAt]) }
    set { self[Place.lastUsedAt] = UInt64(bitPattern: newValue) }
  }

  /// Which backup codes are spent: a bit for each, in the order of the credential.
  public private(set) var spentBackupCodes: UInt32 {
    get { UInt32(truncatingIfNeeded: self[Place.spentBackupCodes]) }
    set { self[Place.spentBackupCodes] = UInt64(newValue) }
  }

  /// The state of the device at `index` of the credential.
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

  /// Whether the backup code at `index` of the credential is spent. One that cannot be, is.
  public func isSpent(backupCodeAt index: Int) -> Bool {
    guard index >= 0, index < Credential.maximumBackupCodes else { return true }
    return spentBackupCodes & (1 &<< UInt32(truncatingIfNeeded: index)) != 0
  }

  /// Marks the backup code at `index` of the credential as spent.
  public mutating func spend(backupCodeAt index: Int) {
    guard index >= 0, index < Credential.maximumBackupCodes else { return }
    spentBackupCodes |= 1 &<< UInt32(truncatingIfNeeded: index)
  }

  /// Marks all the backup codes in `bits` as spent.
  public mutating func spend(backupCodes bits: UInt32) { spentBackupCodes |= bits }

  /// Forgets what was wrong: codes are looked at again.
  public mutating func forgetFailures() {
    failures = 0
    throttledUntil = 0
    earlyGuesses = 0
  }

  /// How many backup codes are left of those in the credential.
  public func backupCodesLeft(of credential: borrowing Credential) -> Int {
    let count = Swift.max(0, Swift.min(credential.backupCodeCount, Credential.maximumBackupCodes))
    let existing = (UInt64(1) &<< UInt64(count)) &- 1
    return (UInt64(~spentBackupCodes) & existing).nonzeroBitCount
  }

  /// Assumes, of a state that was lost or damaged, that every code that could have been used was used. It costs the
  /// user of a clock one window; backup codes are spent, and a counter is lost for good. Nothing is taken back that
  /// the remains say, if there are any.
  ///
  /// - Parameters:
  ///   - credential: What the state belongs to.
  ///   - now: Seconds since the epoch.
  ///   - window: How many steps before and after the current one are accepted.
  ///   - failures: How many failures are counted at least, so that a loss buys no guesses.
  public mutating func assumeLoss(of credential: borrowing Credential, now: Int64, window: UInt64, failures: UInt32) {
    generation = credential.generation
    spentBackupCodes = UInt32.max
    self.failures = Swift.max(self.failures, failures)
    endGrace()
    // A clock that is behind what is known to have been does not bring back codes.
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
