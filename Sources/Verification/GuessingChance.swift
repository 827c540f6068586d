/// The chance that guesses hit a code before codes are locked, as an upper bound.
///
/// Each guess is compared with all codes that are valid at that moment: those of the window for TOTP (RFC 6238 section
/// 5.2), those of the look-ahead for HOTP (RFC 4226 section 7.3). The chance of `n` guesses is at most `n` times the
/// valid codes, divided by the number of possible codes.
public struct GuessingChance: Equatable, Sendable {
  /// The limits of the policy.
  public let limits: VerificationLimits

  /// The chances under the limits of a policy.
  public init(_ limits: VerificationLimits) { self.limits = limits }

  /// The consecutive wrong codes after which codes are locked.
  public static var guesses: Int { Int(Throttle.lockedAt) }

  /// The wrong codes that can be typed before the first wait, and again after each login of the user.
  public var guessesWithoutWait: Int { Int(limits.maximumFailures) }

  /// The codes of a TOTP device that are valid at one moment.
  public var codesOfClock: Int { 2 * Int(limits.window) + 1 }

  /// The codes of an HOTP device that are valid at one moment.
  public var codesOfCounter: Int { Int(limits.lookAhead) + 1 }

  /// The chance against so many TOTP and HOTP devices, whose codes have as many digits.
  public func ofCodes(clocks: Int, counters: Int = 0, digits: Int = 6) -> Double {
    let valid = clocks * codesOfClock + counters * codesOfCounter
    return Double(Self.guesses * valid) / Self.power(10, digits)
  }

  /// The chance against so many devices of the kind that is easier to guess.
  public func ofCodes(devices: Int) -> Double {
    codesOfClock >= codesOfCounter ? ofCodes(clocks: devices) : ofCodes(clocks: 0, counters: devices)
  }

  /// The chance against so many imported scratch codes of eight digits, if no other code is guessed: as many of them are
  /// tried while codes are throttled as before.
  public static func ofScratchCodes(_ count: Int) -> Double { Double(2 * guesses * count) / power(10, 8) }

  /// The chance that so many guesses, which nothing limits, hit one of so many backup codes of ten characters in base 32.
  public static func ofBackupCodes(_ count: Int, guesses: Double) -> Double {
    guesses * Double(count) / power(32, Reply.backupCodeLength)
  }

  private static func power(_ base: Double, _ exponent: Int) -> Double {
    var product = 1.0
    for _ in 0..<exponent { product *= base }
    return product
  }
}
