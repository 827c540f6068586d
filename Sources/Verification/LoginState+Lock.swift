public import Enrollment

extension LoginState {
  /// Whether codes are locked, after 100 failures in a row, until a backup code or the administrator ends it.
  public var isLocked: Bool { Throttle.isLocked(self) }
}
