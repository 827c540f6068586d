import KeyFormats
import Verification

extension GoogleAuthenticatorFile {
  /// What the file says that is not part of an enrolment here.
  ///
  /// - Parameter limits: What the host's policy says now.
  /// - Returns: The remarks, in the order of the file's description.
  func remarks(limits: VerificationLimits) -> [ImportRemark] {
    var remarks: [ImportRemark] = []
    if let windowSize {
      switch kind {
      case .totp:
        // The steps before and after the current one; of an even number there is one more after it.
        remarks.append(Self.setting("WINDOW_SIZE \(windowSize)", "window", windowSize / 2, 0...10, limits.window))
      case .hotp:
        remarks.append(
          Self.setting("WINDOW_SIZE \(windowSize)", "look_ahead", windowSize - 1, 1...100, limits.lookAhead))
      }
    }
    if let rateLimit {
      remarks.append(
        Self.setting(
          "RATE_LIMIT \(rateLimit.logins) \(rateLimit.seconds)", "max_failures", rateLimit.logins, 1...100,
          UInt64(limits.maximumFailures), of: ", for wrong codes instead of logins"))
    }
    if timeSkew != 0, case .totp(let period) = kind {
      let seconds = timeSkew.magnitude * UInt64(period)
      remarks.append(
        ImportRemark(
          text:
            "TIME_SKEW \(timeSkew): the clock of the phone is \(seconds) seconds \(timeSkew > 0 ? "ahead" : "behind"), "
            + "and no clock is followed here: set that of the phone to automatic"
            + (timeSkew.magnitude > limits.window ? ", or its codes are refused; to try: twofactor verify" : "")))
    }
    return remarks + otherRemarks
  }

  private var otherRemarks: [ImportRemark] {
    let names = otherOptions.compactMap(\.self)
    var remarks: [ImportRemark] = []
    if names.contains(where: Self.isGrace) {
      remarks.append(
        ImportRemark(
          text: "LAST0 to LAST9: these addresses are asked for a code again; to spare an address that passed, in "
            + "/etc/security/twofactor.conf", setting: "grace_period = SECONDS"))
    }
    if names.contains("OTP_DISABLED") {
      remarks.append(ImportRemark(text: "OTP_DISABLED is left out: codes are asked for"))
    }
    let known = ["OTP_DISABLED", "RESETTING_TIME_SKEW"]
    let unknown = names.filter { !known.contains($0) && !Self.isGrace($0) }
    if !unknown.isEmpty {
      remarks.append(ImportRemark(text: "\(unknown.joined(separator: ", ")): not known, and left out"))
    }
    if otherOptions.contains(nil) {
      remarks.append(ImportRemark(text: "A line that begins with a quote and is no option is left out"))
    }
    return remarks
  }

  private static func isGrace(_ name: String) -> Bool {
    name.hasPrefix("LAST") && name.count == 5 && name.last?.isNumber == true
  }

  private static func setting(
    _ option: String, _ name: String, _ value: Int, _ range: ClosedRange<Int>, _ current: UInt64,
    of what: String = ""
  ) -> ImportRemark {
    let possible = min(max(value, range.lowerBound), range.upperBound)
    var remark = ImportRemark(
      text: "\(option) is the host's to decide\(what); the line for /etc/security/twofactor.conf",
      setting: "\(name) = \(possible)")
    if possible != value {
      remark.note = "the nearest that there is"
    } else if UInt64(possible) == current {
      remark.note = "as it is"
    }
    return remark
  }
}
