import LoginPolicy
import Verification

/// What the administrator decided, as far as the command follows it.
struct HostSettings {
  /// Where enrolments lie: the template of the directory.
  var directoryTemplate = String(decoding: Policy().directory)
  /// Who asks for the code, as the app shows it; nil for the name of the host.
  var issuer: String?
  /// Whether a user's password is asked for.
  var requiresPassword = true
  /// Whether users may switch two-factor off themselves.
  var allowsDisabling = true
  /// The first day on which nobody gets in without two-factor; nil for none.
  var requiredFrom: CalendarDay?
  /// The program that is told of changes, with sendmail's interface; nil for none.
  var notify: String?
  /// How far a code may be off, and how often one may be wrong.
  var limits = VerificationLimits()

  /// Whether two-factor is enforced: users may not switch it off, or who is not enrolled does not get in.
  ///
  /// - Parameter now: Seconds since the epoch.
  /// - Returns: Whether it is.
  func enforcesTwoFactor(now: Int64) -> Bool {
    !allowsDisabling || requiredFrom.map { CalendarDay(of: now) >= $0 } ?? false
  }
}
