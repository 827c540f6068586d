/// The exit status; from 64 on, as in sysexits.h.
package struct ExitStatus: RawRepresentable, Equatable, Sendable {
  package let rawValue: Int32

  package init(rawValue: Int32) { self.rawValue = rawValue }

  package static let done = ExitStatus(rawValue: 0)
  /// A wrong code, not enrolled, or declined.
  package static let refused = ExitStatus(rawValue: 1)
  /// EX_USAGE.
  package static let usage = ExitStatus(rawValue: 64)
  /// EX_DATAERR.
  package static let unusableData = ExitStatus(rawValue: 65)
  /// EX_NOINPUT.
  package static let noSuchFile = ExitStatus(rawValue: 66)
  /// EX_NOUSER.
  package static let noSuchAccount = ExitStatus(rawValue: 67)
  /// EX_IOERR.
  package static let inputOutput = ExitStatus(rawValue: 74)
  /// EX_NOPERM.
  package static let notPermitted = ExitStatus(rawValue: 77)
  /// EX_CONFIG.
  package static let configuration = ExitStatus(rawValue: 78)
}

/// Why a subcommand fails. For `status`, an account that is not enrolled is *not* an error.
package struct SetupError: Error, Equatable {
  package let status: ExitStatus
  /// Lower case, no full stop.
  package let message: String
  package let hint: String?

  package init(_ status: ExitStatus, _ message: String, hint: String? = nil) {
    self.status = status
    self.message = message
    self.hint = hint
  }

  package static var outOfMemory: SetupError { SetupError(.inputOutput, "out of memory") }
}
