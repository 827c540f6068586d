/// The exit status of the command. From 64 on the numbers are those of sysexits.h.
package struct ExitStatus: RawRepresentable, Equatable, Sendable {
  package let rawValue: Int32

  package init(rawValue: Int32) { self.rawValue = rawValue }

  package static let done = ExitStatus(rawValue: 0)
  /// A wrong code, not enrolled, declined.
  package static let refused = ExitStatus(rawValue: 1)
  /// Invalid command line (EX_USAGE).
  package static let usage = ExitStatus(rawValue: 64)
  /// Invalid input data (EX_DATAERR).
  package static let unusableData = ExitStatus(rawValue: 65)
  /// No such file (EX_NOINPUT).
  package static let noSuchFile = ExitStatus(rawValue: 66)
  /// No such account (EX_NOUSER).
  package static let noSuchAccount = ExitStatus(rawValue: 67)
  /// Reading or writing failed (EX_IOERR).
  package static let inputOutput = ExitStatus(rawValue: 74)
  /// The caller may not do this (EX_NOPERM).
  package static let notPermitted = ExitStatus(rawValue: 77)
  /// The host is not set up for it (EX_CONFIG).
  package static let configuration = ExitStatus(rawValue: 78)
}

/// Why a subcommand fails. `status` of an account that is not enrolled is *not* an error.
package struct SetupError: Error, Equatable {
  package let status: ExitStatus
  /// In lower case, without a full stop.
  package let message: String
  /// What to do about it.
  package let hint: String?

  package init(_ status: ExitStatus, _ message: String, hint: String? = nil) {
    self.status = status
    self.message = message
    self.hint = hint
  }
}
