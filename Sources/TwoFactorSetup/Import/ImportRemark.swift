import KeyFormats
import Verification

/// A setting that was not imported.
struct ImportRemark: Equatable {
  /// A sentence, no full stop.
  let text: String
  /// The equivalent line of `twofactor.conf`.
  var setting: String?
  var note: String?

  var line: String {
    guard let setting else { return text }
    return "\(text): \(setting)" + (note.map { " (\($0))" } ?? "")
  }

  /// Indented, up to 78 columns, with the setting on a line of its own.
  var lines: [String] {
    var lines = PageText.wrapped(text + (setting == nil ? "." : ":"), columns: 76)
    if let setting { lines.append("  " + setting + (note.map { "  (\($0))" } ?? "")) }
    return lines.map { "  " + $0 }
  }
}

extension GoogleAuthenticatorFile {
  /// Remarks on settings that are not imported. `limits` is the host's policy.
  func remarks(limits: VerificationLimits) -> [ImportRemark] {
    var remarks: [ImportRemark] = []
    if let windowSize {
      switch kind {
      case .totp:
        // WINDOW_SIZE is the number of all steps. If it is even, one more step follows the current one than precedes
        // it.
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
          UInt64(limits.maximumFailures), of: ", which limits wrong codes instead of logins"))
    }
    if ignoresAlgorithm {
      remarks.append(ImportRemark(text: "ALGORITHM applies to time-based codes only, so the counter uses SHA-1"))
    }
    return remarks + otherRemarks
  }

  private var otherRemarks: [ImportRemark] {
    let names = otherOptions.compactMap(\.self)
    var remarks: [ImportRemark] = []
    if names.contains(where: Self.isGrace) {
      remarks.append(
        ImportRemark(
          text: "LAST0 to LAST9: logins from these addresses need a code again; for a grace period, in "
            + "/etc/security/twofactor.conf", setting: "grace_period = SECONDS"))
    }
    if names.contains("OTP_DISABLED") {
      remarks.append(ImportRemark(text: "OTP_DISABLED is ignored: codes are asked for"))
    }
    let known = ["OTP_DISABLED", "RESETTING_TIME_SKEW"]
    let unknown = names.filter { !known.contains($0) && !Self.isGrace($0) }
    if !unknown.isEmpty {
      remarks.append(ImportRemark(text: "\(unknown.joined(separator: ", ")): unknown, ignored"))
    }
    if otherOptions.contains(nil) {
      remarks.append(ImportRemark(text: "A line that begins with a quote but names no option is ignored"))
    }
    return remarks
  }

  private static func isGrace(_ name: String) -> Bool {
    name.hasPrefix("LAST") && name.count == 5 && name.last?.isNumber == true
  }

  private static func setting(
    _ option: String, _ name: String, _ value: Int, _ range: ClosedRange<Int>, _ current: UInt64,
    of addition: String = ""
  ) -> ImportRemark {
    let possible = min(max(value, range.lowerBound), range.upperBound)
    var remark = ImportRemark(
      text: "\(option) is decided by the host's policy\(addition); the line for /etc/security/twofactor.conf",
      setting: "\(name) = \(possible)")
    if possible != value {
      remark.note = "the nearest allowed value"
    } else if UInt64(possible) == current {
      remark.note = "already in effect"
    }
    return remark
  }
}
