import KeyFormats
import Verification

extension GoogleAuthenticatorFile {
  /// What the file says that is not part of an enrolment here, each with where it is said instead.
  ///
  /// - Parameter limits: What the host's policy says now.
  /// - Returns: A line each.
  func remarks(limits: VerificationLimits) -> [String] {
    var remarks: [String] = []
    if let windowSize {
      switch kind {
      case .totp:
        // The steps before and after the current one; of an even number there is one more after it.
        remarks.append(
          Self.setting("WINDOW_SIZE \(windowSize)", "window", windowSize / 2, 0...10, limits.window))
      case .hotp:
        remarks.append(
          Self.setting("WINDOW_SIZE \(windowSize)", "look_ahead", windowSize - 1, 1...100, limits.lookAhead))
      }
    }
    if let rateLimit {
      let line = Self.setting(
        "RATE_LIMIT \(rateLimit.logins) \(rateLimit.seconds)", "max_failures", rateLimit.logins, 1...100,
        UInt64(limits.maximumFailures))
      remarks.append(line + "; it counts wrong codes, not logins")
    }
    if timeSkew != 0, case .totp(let period) = kind {
      let seconds = timeSkew.magnitude * UInt64(period)
      remarks.append(
        "TIME_SKEW \(timeSkew): the clock of the phone is \(seconds) seconds \(timeSkew > 0 ? "ahead" : "behind"), and "
          + "no clock is followed here: set that of the phone to automatic"
          + (timeSkew.magnitude > limits.window ? ", or codes are refused; to see: twofactor verify" : ""))
    }
    let names = otherOptions.compactMap(\.self)
    if names.contains(where: Self.isGrace) {
      remarks.append(
        "LAST0 to LAST9: the next login from these addresses asks for a code; the line for "
          + "/etc/security/twofactor.conf that spares later ones: grace_period = SECONDS")
    }
    if names.contains("OTP_DISABLED") { remarks.append("OTP_DISABLED: left out, codes are asked for") }
    let known = ["OTP_DISABLED", "RESETTING_TIME_SKEW"]
    let unknown = names.filter { !known.contains($0) && !Self.isGrace($0) }
    if !unknown.isEmpty { remarks.append("\(unknown.joined(separator: ", ")): not known, and left out") }
    if otherOptions.contains(nil) { remarks.append("a line that begins with a quote and is no option: left out") }
    return remarks
  }

  private static func isGrace(_ name: String) -> Bool {
    name.hasPrefix("LAST") && name.count == 5 && name.last?.isNumber == true
  }

  private static func setting(
    _ option: String, _ name: String, _ value: Int, _ range: ClosedRange<Int>, _ current: UInt64
  ) -> String {
    let possible = min(max(value, range.lowerBound), range.upperBound)
    let line = "\(option): the host's policy decides; the line for /etc/security/twofactor.conf: \(name) = \(possible)"
    if possible != value { return line + ", the nearest that there is" }
    return UInt64(possible) == current ? line + ", which is what holds" : line
  }
}
