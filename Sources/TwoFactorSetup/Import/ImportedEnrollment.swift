import Enrollment
import FixedMemory
import HostAccess
import KeyFormats
import OneTimePassword
import Verification

/// The imported devices and scratch codes of one account.
struct ImportedEnrollment {
  private(set) var devices: [DeviceDraft]
  private(set) var scratchCodes: [String] = []
  /// Unix time.
  let moment: Int64
  private(set) var remarks: [ImportRemark] = []

  /// Nil detects the format. `name` is for the first device; the others are numbered. `user` selects tokens of a users
  /// file. `now` is Unix time.
  ///
  /// - Throws: ``FormatProblem`` if the text is invalid, or a credential cannot contain it.
  init(
    parsing text: Span<UInt8>, format: KeyFileFormat?, name: String, user: String, limits: VerificationLimits,
    now: Int64
  ) throws(FormatProblem) {
    guard let format = format ?? KeyFileFormat(of: text) else {
      throw FormatProblem(
        "unknown format: neither a google-authenticator file nor a users file nor otpauth URIs",
        hint: "to see why, name the format: --from google-authenticator, --from oath or --from uri")
    }
    switch format {
    case .googleAuthenticator:
      let file = try GoogleAuthenticatorFile(parsing: text)
      devices = [file.device(now: now)]
      scratchCodes = file.scratchCodes
      remarks = file.remarks(limits: limits)
    case .oath:
      devices = try Self.devices(OATHUsersFile(parsing: text).tokens(of: user), now: now)
      guard !devices.isEmpty else { throw FormatProblem("it contains no token of \(user)") }
    case .uri:
      let uris = try OTPAuthURI.parse(lines: text)
      devices = uris.map(\.device)
      let others = uris.flatMap(\.otherParameters).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
      if uris.contains(where: \.lacksCounter) {
        remarks.append(ImportRemark(text: "An otpauth://hotp/ URI has no counter; the counter starts at 0"))
      }
      if !others.isEmpty {
        remarks.append(ImportRemark(text: "\(others.joined(separator: ", ")): unknown, ignored"))
      }
    }
    moment = now
    try check(name: name, limits: limits)
  }

  init(tokens: [OATHToken], name: String, limits: VerificationLimits, now: Int64) throws(FormatProblem) {
    devices = try Self.devices(tokens, now: now)
    moment = now
    try check(name: name, limits: limits)
  }

  private static func devices(_ tokens: [OATHToken], now: Int64) throws(FormatProblem) -> [DeviceDraft] {
    var devices: [DeviceDraft] = []
    for token in tokens { devices.append(try token.device(now: now)) }
    return devices
  }

  /// Names the devices. Rejects those that a credential cannot contain.
  private mutating func check(name: String, limits: VerificationLimits) throws(FormatProblem) {
    guard devices.count <= Credential.maximumDevices else {
      throw FormatProblem("it contains \(devices.count) devices; the maximum is \(Credential.maximumDevices)")
    }
    for index in devices.indices {
      devices[index].name = index == 0 ? name : "\(name) \(index + 1)"
      devices[index].enabledAt = moment
      let device = devices[index]
      if devices[..<index].contains(where: { $0.key.isEqual(to: device.key) }) {
        throw FormatProblem("two devices have the same key")
      }
      guard case .totp(let period) = device.kind, let step = TimeStep(at: moment, period: period),
        device.nextStep > step.rawValue + limits.window + 1
      else { continue }
      let (moment, overflow) = Int64(device.nextStep).multipliedReportingOverflow(by: period)
      let again = overflow ? "never" : Timestamp(seconds: moment).readable
      remarks.append(
        ImportRemark(
          text: "The last used code is from the future, so codes are refused until: \(again); check the clocks of "
            + "the phone and of this host"))
    }
    if scratchCodes.count > Credential.maximumBackupCodes {
      let tooMany = scratchCodes.count - Credential.maximumBackupCodes
      remarks.append(
        ImportRemark(text: "\(tooMany) scratch codes are left out; the maximum is \(Credential.maximumBackupCodes)"))
      scratchCodes.removeLast(tooMany)
    }
  }
}
