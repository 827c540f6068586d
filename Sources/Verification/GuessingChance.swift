/// An upper bound for the chance that guesses hit a code before codes are locked.
///
/// Each guess is compared with all codes that are valid then, in the window or the look-ahead. The chance of `n`
/// guesses is at most `n` times the number of valid codes, divided by the number of possible codes.
public struct GuessingChance: Equatable, Sendable {
  /// The limits of the policy.
  public let limits: VerificationLimits

  /// The chances under these limits.
  public init(_ limits: VerificationLimits) { self.limits = limits }

  /// After this many consecutive wrong codes, codes are locked.
  public static var guesses: Int { Int(Throttle.lockedAt) }

  /// The wrong codes before the first throttling, and again after each login of the user.
  public var guessesWithoutWait: Int { Int(limits.maximumFailures) }

  /// The valid codes of a TOTP device at one moment.
  public var codesOfClock: Int { 2 * Int(limits.window) + 1 }

  /// The valid codes of an HOTP device at one moment.
  public var codesOfCounter: Int { Int(limits.lookAhead) + 1 }

  /// The chance for this number of TOTP and HOTP devices with codes of `digits` digits.
  public func ofCodes(clocks: Int, counters: Int = 0, digits: Int = 6) -> Double {
    let valid = clocks * codesOfClock + counters * codesOfCounter
    return Double(Self.guesses * valid) / Self.power(10, digits)
  }

  /// The chance for ``DeviceResync`` of a device of this kind. A guess is a pair of codes; a correct pair is
  /// recognized in the wrong order too.
  public static func ofResync(isCounterBased: Bool, digits: Int = 6) -> Double {
    let pairs = isCounterBased ? ResyncReach.counters + 1 : 2 * ResyncReach.timeSteps + 2
    return Double(UInt64(2 * guesses) * pairs) / power(10, 2 * digits)
  }

  /// The chance for this number of devices of the kind that is easier to guess.
  public func ofCodes(devices: Int) -> Double {
    codesOfClock >= codesOfCounter ? ofCodes(clocks: devices) : ofCodes(clocks: 0, counters: devices)
  }

  /// The chance for this number of scratch codes if only they are guessed. As many guesses are possible during
  /// throttling as before it.
  public static func ofScratchCodes(_ count: Int) -> Double { Double(2 * guesses * count) / power(10, 8) }

  /// The chance that `guesses`, which nothing limits, hit one of `count` backup codes.
  public static func ofBackupCodes(_ count: Int, guesses: Double) -> Double {
    guesses * Double(count) / power(32, Reply.backupCodeLength)
  }

  private static func power(_ base: Double, _ exponent: Int) -> Double {
    var product = 1.0
    for _ in 0..<exponent { product *= base }
    return product
  }
}
