import ArgumentParser
import Enrollment
import FixedMemory
import OneTimePassword

/// The options that say what kind of device is added, and how its key is shown.
struct DeviceOptions: ParsableArguments {
  /// What moves the codes on.
  enum Kind: String, CaseIterable, ExpressibleByArgument {
    case totp, hotp
  }

  /// The hash functions by name.
  enum Algorithm: String, CaseIterable, ExpressibleByArgument {
    case sha1, sha256, sha512
  }

  @Option(help: ArgumentHelp("What the device is called.", valueName: "name"))
  var name = "phone"

  @Option(
    help: ArgumentHelp(
      "Who asks for the code, as the app shows it. (default: the name of this host)", valueName: "text"))
  var issuer: String?

  @Option(
    help: ArgumentHelp("Whose code it is, as the app shows it. (default: the login name)", valueName: "text"))
  var account: String?

  @Option(help: ArgumentHelp("Codes that change with the clock, or with a counter.", valueName: "type"))
  var type = Kind.totp

  @Option(help: ArgumentHelp("The hash function. Some apps know only sha1.", valueName: "algorithm"))
  var algorithm = Algorithm.sha1

  @Option(help: ArgumentHelp("The length of a code, 6 or 8. Some apps know only 6.", valueName: "n"))
  var digits = 6

  @Option(
    help: ArgumentHelp(
      "How long a code lasts, 15 to 300. Some apps know only 30. (default: 30)", valueName: "seconds"))
  var period: Int64?

  @Option(help: ArgumentHelp("How the QR code is drawn.", valueName: "form"))
  var qr = QRForm.auto

  @Option(
    help: ArgumentHelp("Write the QR code to a file that ends in .png or .svg.", valueName: "file"),
    completion: .file(extensions: ["png", "svg"]))
  var qrFile: String?

  mutating func validate() throws {
    guard DeviceName.isValid(name.utf8.span) else {
      throw ValidationError("The name of a device has 1 to 64 bytes and no control characters.")
    }
    for (option, text) in [("--issuer", issuer), ("--account", account)] {
      guard let text, !OTPAuthURI.isValidLabelPart(text) else { continue }
      throw ValidationError(
        "\(option) takes up to 128 bytes, without colons, control characters and blanks at the ends.")
    }
    guard UInt8(exactly: digits).flatMap(CodeDigits.init) != nil else {
      throw ValidationError("--digits is 6 or 8.")
    }
    if let period {
      guard type == .totp else { throw ValidationError("--period is for --type totp; a counter has no clock.") }
      guard TimeStep.periods.contains(period) else {
        throw ValidationError(
          "--period is \(TimeStep.periods.lowerBound) to \(TimeStep.periods.upperBound) seconds.")
      }
    }
    if let qrFile, QRImage.Format(path: qrFile) == nil {
      throw ValidationError("--qr-file ends in .png or .svg.")
    }
  }

  /// The device that the options describe. They were validated.
  var parameters: DeviceParameters {
    let algorithm: HashAlgorithm =
      switch self.algorithm {
      case .sha1: .sha1
      case .sha256: .sha256
      case .sha512: .sha512
      }
    return DeviceParameters(
      name: name, kind: type == .totp ? .totp(period: period ?? DeviceParameters.defaultPeriod) : .hotp(counter: 0),
      algorithm: algorithm, digits: UInt8(exactly: digits).flatMap(CodeDigits.init) ?? .six)
  }
}
