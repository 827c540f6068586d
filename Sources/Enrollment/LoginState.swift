internal import FixedMemory

/// What logins change: which codes are used up, and how many failed. It belongs to one version of the
/// credential, and is a plain value; ``StateFile`` keeps it on the disk.
public struct LoginState: Sendable {
  /// One device's part of the state.
  public struct DeviceState: Sendable {
    /// The lowest moving factor that is still good: the time step after the last one used, or the next counter.
    public var nextFactor: UInt64 = 0

    /// When it last let its owner in, in seconds since the epoch; 0 for never.
    public var lastUsedAt: Int64 = 0
  }

  /// The highest counter that an HOTP device can be at. The one above is that of a device whose counter was
  /// lost: no code of it is good any more.
  public static var highestCounter: UInt64 { UInt64.max &- 1 }

  /// The version of the credential that it belongs to.
  public var generation: Generation

  /// How many codes failed since the last that was right.
  public var failures: UInt32 = 0

  /// Until when codes are refused unseen, in seconds since the epoch; 0 for not at all.
  public var throttledUntil: Int64 = 0

  /// How many eight-digit backup codes were wrong while codes were refused, since the last code that was right.
  public var earlyGuesses: UInt32 = 0

  /// When a backup code was last used, in seconds since the epoch; 0 for never.
  public var backupCodeUsedAt: Int64 = 0

  /// When the user last got in with any code, in seconds since the epoch; 0 for never.
  public var lastUsedAt: Int64 = 0

  /// Which backup codes are spent: a bit for each, in the order of the credential.
  public private(set) var spentBackupCodes: UInt32 = 0

  /// The addresses that passed lately, the one used last first.
  var grace = InlineArray<8, GraceEntry>(repeating: GraceEntry())

  private var devices = InlineArray<16, DeviceState>(repeating: DeviceState())

  /// The state of a new enrolment: nothing used, nothing failed.
  public init(generation: Generation) { self.generation = generation }

  /// The state of the device at `index` of the credential.
  public subscript(device index: Int) -> DeviceState {
    get {
      guard index >= 0, index < devices.count else { return DeviceState(nextFactor: UInt64.max) }
      // SAFETY: the index was compared with both bounds.
      return unsafe devices[unchecked: index]
    }
    set {
      guard index >= 0, index < devices.count else { return }
      // SAFETY: the index was compared with both bounds.
      unsafe devices[unchecked: index] = newValue
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
    var left = 0
    var indices = Counter(to: Credential.maximumBackupCodes)
    while let index = indices.next() {
      guard index < credential.backupCodeCount else { continue }
      if !isSpent(backupCodeAt: index) { left &+= 1 }
    }
    return left
  }

  /// What is assumed where the state was lost or damaged: every code that could have been used was used. It
  /// costs the user of a clock one window; backup codes are spent, and a counter is lost for good.
  ///
  /// - Parameters:
  ///   - credential: What the state belongs to.
  ///   - remains: What is left of the state, if anything is: nothing is taken back that it says.
  ///   - now: Seconds since the epoch.
  ///   - window: How many steps before and after the current one are accepted.
  ///   - failures: How many failures are counted at least, so that a loss buys no guesses.
  /// - Returns: The state to go on with.
  public static func afterLoss(
    of credential: borrowing Credential, remains: LoginState?, now: Int64, window: UInt64, failures: UInt32
  ) -> LoginState {
    var state = LoginState(generation: credential.generation)
    state.spentBackupCodes = UInt32.max
    state.failures = Swift.max(remains?.failures ?? 0, failures)
    state.throttledUntil = remains?.throttledUntil ?? 0
    state.lastUsedAt = remains?.lastUsedAt ?? 0
    state.backupCodeUsedAt = remains?.backupCodeUsedAt ?? 0
    // A clock that is behind what is known to have been does not bring back codes.
    let now = Swift.max(now, Swift.max(credential.enabledAt, state.lastUsedAt))
    var indices = Counter(to: Credential.maximumDevices)
    while let index = indices.next() {
      guard let device = credential.device(at: index) else { break }
      let factor = device.factorAfterWindow(now: now, window: window)
      state[device: index].nextFactor = Swift.max(factor, remains?[device: index].nextFactor ?? 0)
    }
    return state
  }
}
