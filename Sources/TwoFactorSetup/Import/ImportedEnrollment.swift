import Enrollment
import FixedMemory
import KeyFormats
import OneTimePassword
import Verification

/// What is imported for one account, whatever it was read from.
struct ImportedEnrollment {
  let devices: [ImportedDevice]
  /// Eight-digit codes that go on working as backup codes.
  var scratchCodes: [String] = []
  /// When it was read, in seconds since the epoch.
  let moment: Int64
  /// What the person who runs the command ought to know.
  var remarks: [ImportRemark] = []

  /// Reads a text.
  ///
  /// - Parameters:
  ///   - text: The text, whole.
  ///   - format: Its format; nil for whichever it is.
  ///   - user: Whose tokens are taken of a users file.
  ///   - limits: What the host's policy says now.
  ///   - now: Seconds since the epoch.
  /// - Throws: ``FormatProblem``.
  init(
    parsing text: Span<UInt8>, format: KeyFileFormat?, user: String, limits: VerificationLimits, now: Int64
  ) throws(FormatProblem) {
    guard let format = format ?? KeyFileFormat(of: text) else {
      throw FormatProblem(
        "it is neither a google-authenticator file nor a users file nor otpauth URIs",
        hint: "name the format to see what is wrong: --from google-authenticator, oath or uri")
    }
    switch format {
    case .googleAuthenticator:
      let file = try GoogleAuthenticatorFile(parsing: text)
      devices = [file.device(now: now)]
      scratchCodes = file.scratchCodes
      remarks = file.remarks(limits: limits)
    case .oath:
      devices = try Self.devices(OATHUsersFile(parsing: text).tokens(of: user), now: now)
      guard !devices.isEmpty else { throw FormatProblem("there is no line of \(user) in it") }
    case .uri:
      let uris = try OTPAuthURI.parse(lines: text)
      devices = uris.map(\.device)
      let others = uris.flatMap(\.otherParameters).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
      if uris.contains(where: \.lacksCounter) {
        remarks.append(ImportRemark(text: "A counter whose URI does not say where it is: taken to begin at 0"))
      }
      if !others.isEmpty {
        remarks.append(ImportRemark(text: "\(others.joined(separator: ", ")): not known, and left out"))
      }
    }
    moment = now
    try check(limits: limits)
  }

  /// The tokens of a users file.
  init(tokens: [OATHToken], limits: VerificationLimits, now: Int64) throws(FormatProblem) {
    devices = try Self.devices(tokens, now: now)
    moment = now
    try check(limits: limits)
  }

  private static func devices(_ tokens: [OATHToken], now: Int64) throws(FormatProblem) -> [ImportedDevice] {
    var devices: [ImportedDevice] = []
    for token in tokens { devices.append(try token.device(now: now)) }
    return devices
  }

  /// The devices as the status shows them.
  ///
  /// - Parameter name: What the first one is called; the others are numbered.
  /// - Returns: One for each device.
  func statuses(name: String) -> [DeviceStatus] {
    devices.enumerated().map { index, device in
      DeviceStatus(
        parameters: DeviceParameters(
          name: index == 0 ? name : "\(name) \(index + 1)", kind: device.kind, algorithm: device.algorithm,
          digits: device.digits),
        enabledAt: moment, lastUsedAt: device.lastUsedAt > 0 ? device.lastUsedAt : nil)
    }
  }

  /// Refuses what no credential can hold, and says where codes wait for the clock.
  private mutating func check(limits: VerificationLimits) throws(FormatProblem) {
    guard devices.count <= Credential.maximumDevices else {
      throw FormatProblem("there are \(devices.count) devices in it, and \(Credential.maximumDevices) are the most")
    }
    for (index, device) in devices.enumerated() {
      if devices[..<index].contains(where: { $0.key.isEqual(to: device.key) }) {
        throw FormatProblem("two of its devices have the same key")
      }
      guard case .totp(let period) = device.kind, let step = TimeStep(at: moment, period: period),
        device.nextStep > step.rawValue + limits.window + 1
      else { continue }
      let (moment, overflow) = Int64(device.nextStep).multipliedReportingOverflow(by: period)
      let again = overflow ? "never" : Timestamp(seconds: moment).readable
      remarks.append(
        ImportRemark(
          text: "The last code that was used is one of the future, so codes are good again from: \(again); look at the "
            + "clocks of the phone and of this host"))
    }
    if scratchCodes.count > Credential.maximumBackupCodes {
      let tooMany = scratchCodes.count - Credential.maximumBackupCodes
      remarks.append(
        ImportRemark(text: "\(tooMany) scratch codes are left out: \(Credential.maximumBackupCodes) are the most"))
      scratchCodes.removeLast(tooMany)
    }
  }
}
