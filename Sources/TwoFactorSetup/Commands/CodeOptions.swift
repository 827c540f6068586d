import ArgumentParser
import Enrollment
import KeyFormats
import OneTimePassword

/// The options that say how a new device makes its codes.
struct CodeOptions: ParsableArguments {
  /// What moves the codes on.
  enum Kind: String, CaseIterable, ExpressibleByArgument {
    case totp, hotp
  }

  /// The hash functions by name.
  enum Algorithm: String, CaseIterable, ExpressibleByArgument {
    case sha1, sha256, sha512
  }

  @Option(help: ArgumentHelp("Codes that change with the clock, or with a counter.", valueName: "type"))
  var type = Kind.totp

  @Option(help: ArgumentHelp("The hash function. Some apps know only sha1.", valueName: "name"))
  var algorithm = Algorithm.sha1

  @Option(help: ArgumentHelp("The length of a code, 6 or 8. Some apps know only 6.", valueName: "n"))
  var digits = 6

  @Option(
    help: ArgumentHelp(
      "How long a code lasts, 15 to 300. Some apps know only 30. (default: 30)", valueName: "seconds"))
  var period: Int64?

  @Flag(help: "Ask for the key that the device has already, in Base32 or hexadecimal, instead of making one.")
  var askKey = false

  @Option(
    help: ArgumentHelp("The next counter of a device of --type hotp that was used before. (default: 0)", valueName: "n")
  )
  var counter: UInt64?

  mutating func validate() throws {
    guard UInt8(exactly: digits).flatMap(CodeDigits.init) != nil else {
      throw ValidationError("--digits is 6 or 8.")
    }
    if let counter {
      guard type == .hotp else { throw ValidationError("--counter is for --type hotp; a clock has none.") }
      guard counter <= LoginState.highestCounter else {
        throw ValidationError("--counter is 0 to \(LoginState.highestCounter).")
      }
    }
    if let period {
      guard type == .totp else { throw ValidationError("--period is for --type totp; a counter has no clock.") }
      guard TimeStep.periods.contains(period) else {
        throw ValidationError(
          "--period is \(TimeStep.periods.lowerBound) to \(TimeStep.periods.upperBound) seconds.")
      }
    }
  }

  /// The device that the options describe. They were validated.
  func parameters(name: String) -> DeviceParameters {
    let algorithm: HashAlgorithm =
      switch self.algorithm {
      case .sha1: .sha1
      case .sha256: .sha256
      case .sha512: .sha512
      }
    return DeviceParameters(
      name: name,
      kind: type == .totp ? .totp(period: period ?? DeviceParameters.defaultPeriod) : .hotp(counter: counter ?? 0),
      algorithm: algorithm, digits: UInt8(exactly: digits).flatMap(CodeDigits.init) ?? .six)
  }
}

extension DeviceName {
  /// Refuses a name that no device can have.
  static func validate(_ name: String) throws {
    guard isValid(name.utf8.span) else {
      throw ValidationError("The name of a device has 1 to 64 bytes and no control characters.")
    }
  }
}
