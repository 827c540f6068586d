import ArgumentParser
import Enrollment
import KeyFormats
import OneTimePassword

struct CommonOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Act for another account, with the permissions of that account. Root only.", valueName: "name"),
    completion: .accounts)
  var user: String?

  @Flag(help: "Write one JSON object to standard output, and questions to standard error.")
  var json = false
}

/// Options for the codes of a new device.
struct CodeOptions: ParsableArguments {
  enum Kind: String, CaseIterable, ExpressibleByArgument {
    case totp, hotp
  }

  enum Algorithm: String, CaseIterable, ExpressibleByArgument {
    case sha1, sha256, sha512

    var hashAlgorithm: HashAlgorithm {
      switch self {
      case .sha1: .sha1
      case .sha256: .sha256
      case .sha512: .sha512
      }
    }
  }

  @Option(help: ArgumentHelp("Time-based (totp) or counter-based (hotp) codes.", valueName: "type"))
  var type = Kind.totp

  @Option(help: ArgumentHelp("The hash function. Some apps support only sha1.", valueName: "name"))
  var algorithm = Algorithm.sha1

  @Option(help: ArgumentHelp("The length of a code, 6 or 8. Some apps support only 6.", valueName: "n"))
  var digits = 6

  @Option(
    help: ArgumentHelp(
      "The length of a time step, 15 to 300 seconds. Some apps support only 30. (default: 30)", valueName: "seconds"))
  var period: Int64?

  @Flag(help: "Ask for the key of an existing device, in Base32, hexadecimal or Base64, instead of creating a new one.")
  var askKey = false

  @Option(
    help: ArgumentHelp("The next counter of a --type hotp device that was used before. (default: 0)", valueName: "n"))
  var counter: UInt64?

  mutating func validate() throws {
    guard codeDigits != nil else { throw ValidationError("--digits must be 6 or 8.") }
    if let counter {
      guard type == .hotp else { throw ValidationError("--counter requires --type hotp.") }
      guard counter <= LoginState.highestCounter else {
        throw ValidationError("--counter must be 0 to \(LoginState.highestCounter).")
      }
    }
    if let period {
      guard type == .totp else { throw ValidationError("--period requires --type totp.") }
      guard TimeStep.periods.contains(period) else {
        throw ValidationError(
          "--period must be \(TimeStep.periods.lowerBound) to \(TimeStep.periods.upperBound) seconds.")
      }
    }
  }

  var hashAlgorithm: HashAlgorithm { algorithm.hashAlgorithm }

  private var codeDigits: CodeDigits? { UInt8(exactly: digits).flatMap(CodeDigits.init) }

  func draft(name: String, key: SharedKey) -> DeviceDraft {
    DeviceDraft(
      name: name, key: key,
      kind: type == .totp ? .totp(period: period ?? DeviceDraft.defaultPeriod) : .hotp(counter: counter ?? 0),
      algorithm: hashAlgorithm, digits: codeDigits ?? .six)
  }
}

/// Options for showing a key.
struct KeyOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The organization or host that the app shows beside the code. (default: the name of this host)", valueName: "text"
    ))
  var issuer: String?

  @Option(
    help: ArgumentHelp(
      "The account name that the app shows beside the code. (default: the login name)", valueName: "text"))
  var account: String?

  @Option(name: .customLong("qr"), help: ArgumentHelp("How to draw the QR code. (default: auto)", valueName: "form"))
  var chosenQR: QRForm?

  var qr: QRForm { chosenQR ?? .auto }

  @Option(
    help: ArgumentHelp("Write the QR code to a .png or .svg file.", valueName: "file"),
    completion: .file(extensions: ["png", "svg"]))
  var qrFile: String?

  mutating func validate() throws {
    for (option, text) in [("--issuer", issuer), ("--account", account)] {
      guard let text, !OTPAuthURI.isValidLabelPart(text) else { continue }
      throw ValidationError(
        "\(option) must have 1 to 128 bytes, without colons, control characters and surrounding blanks.")
    }
    if let qrFile, QRImage.Format(path: qrFile) == nil {
      throw ValidationError("--qr-file must end in .png or .svg.")
    }
  }
}

extension DeviceName {
  static func validate(_ name: String) throws {
    guard isValid(name.utf8.span) else {
      throw ValidationError("A device name must have 1 to 64 bytes, without control characters and surrounding blanks.")
    }
    guard !KeyArgument.isKey(name) else {
      throw ValidationError(
        "The name of a device must not look like a key. If it is one, delete the line from the shell's history.")
    }
  }
}

extension BackupCodes {
  static func validate(count: Int) throws {
    guard counts.contains(count) else {
      throw ValidationError("--backup-codes must be \(counts.lowerBound) to \(counts.upperBound).")
    }
  }
}
