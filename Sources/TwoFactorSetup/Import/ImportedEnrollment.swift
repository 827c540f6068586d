import Enrollment
import FixedMemory
import HostAccess
import KeyFormats
import OneTimePassword
import Verification

/// The imported devices and scratch codes of one account.
struct ImportedEnrollment {
  private(set) var devices: [DeviceDraft] = []
  private(set) var scratchCodes: [String] = []
  /// Unix time.
  let moment: Int64
  private(set) var remarks: [ImportRemark]

  /// `name` is for the first device; the others are numbered. `now` is Unix time.
  ///
  /// - Throws: ``FormatProblem`` if a device is unusable, or a credential cannot contain it.
  init(
    _ entries: [KeyEntry], remarks: [ImportRemark] = [], name: String, limits: VerificationLimits, now: Int64
  ) throws(FormatProblem) {
    moment = now
    self.remarks = remarks
    for entry in entries {
      devices.append(try entry.labeledDevice())
      scratchCodes += entry.scratchCodes
      for remark in entry.remarks.map({ ImportRemark(text: $0) }) where !self.remarks.contains(remark) {
        self.remarks.append(remark)
      }
    }
    try check(name: name, limits: limits)
  }

  /// Counts a code as used.
  mutating func use(_ state: LoginState.DeviceState, ofDeviceAt index: Int) {
    devices[index].nextStep = max(devices[index].nextStep, state.nextFactor)
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
        let next = Int64(exactly: device.nextStep).map({ $0 - device.clockOffset }),
        next > Int64(step.rawValue + limits.window + 1)
      else { continue }
      let (moment, overflow) = next.multipliedReportingOverflow(by: period)
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

extension KeyEntry {
  /// The device with the labels of the entry, if they are valid in a URI.
  fileprivate func labeledDevice() throws(FormatProblem) -> DeviceDraft {
    var device = try device.get()
    device.issuer = device.issuer ?? issuer.flatMap { OTPAuthURI.isValidLabelPart($0) ? $0 : nil }
    device.account = device.account ?? account.flatMap { OTPAuthURI.isValidLabelPart($0) ? $0 : nil }
    return device
  }
}
