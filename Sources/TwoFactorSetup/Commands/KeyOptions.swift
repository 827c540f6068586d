import ArgumentParser
import KeyFormats

/// The options that say how the key of a device is shown.
struct KeyOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Who asks for the code, as the app shows it. (default: the name of this host)", valueName: "text"))
  var issuer: String?

  @Option(
    help: ArgumentHelp("Whose code it is, as the app shows it. (default: the login name)", valueName: "text"))
  var account: String?

  @Option(name: .customLong("qr"), help: ArgumentHelp("How the QR code is drawn. (default: auto)", valueName: "form"))
  var chosenQR: QRForm?

  /// How the QR code is drawn, where it is.
  var qr: QRForm { chosenQR ?? .auto }

  @Option(
    help: ArgumentHelp("Write the QR code to a file that ends in .png or .svg.", valueName: "file"),
    completion: .file(extensions: ["png", "svg"]))
  var qrFile: String?

  mutating func validate() throws {
    for (option, text) in [("--issuer", issuer), ("--account", account)] {
      guard let text, !OTPAuthURI.isValidLabelPart(text) else { continue }
      throw ValidationError(
        "\(option) takes up to 128 bytes, without colons, control characters and blanks at the ends.")
    }
    if let qrFile, QRImage.Format(path: qrFile) == nil {
      throw ValidationError("--qr-file ends in .png or .svg.")
    }
  }
}
