/// How the command ends. The numbers from 64 on are those of sysexits.h.
public struct ExitStatus: RawRepresentable, Equatable, Sendable {
  /// The number that the shell sees.
  public let rawValue: Int32

  /// The status with this number.
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// What was asked for is done.
  public static let done = ExitStatus(rawValue: 0)
  /// Refused or failed: a wrong code, not enrolled, declined.
  public static let refused = ExitStatus(rawValue: 1)
  /// The command line cannot be understood (EX_USAGE).
  public static let usage = ExitStatus(rawValue: 64)
  /// Input data that cannot be used (EX_DATAERR).
  public static let unusableData = ExitStatus(rawValue: 65)
  /// No such file (EX_NOINPUT).
  public static let noSuchFile = ExitStatus(rawValue: 66)
  /// No such account (EX_NOUSER).
  public static let noSuchAccount = ExitStatus(rawValue: 67)
  /// Reading or writing failed (EX_IOERR).
  public static let inputOutput = ExitStatus(rawValue: 74)
  /// The caller may not do this (EX_NOPERM).
  public static let notPermitted = ExitStatus(rawValue: 77)
  /// The host is not configured for it (EX_CONFIG).
  public static let configuration = ExitStatus(rawValue: 78)
}
