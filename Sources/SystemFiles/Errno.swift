internal import CSystem
public import FixedMemory

/// An error number (errno(3)).
public struct Errno: Error, RawRepresentable, Equatable, BitwiseCopyable, Sendable {
  /// The number.
  public let rawValue: Int32

  /// The error with this number.
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// The error of the thread's last failed call.
  public static var current: Errno { Errno(rawValue: csystem_errno()) }

  /// EACCES.
  public static var accessDenied: Errno { Errno(rawValue: EACCES) }

  /// EEXIST.
  public static var exists: Errno { Errno(rawValue: EEXIST) }

  /// EXDEV.
  public static var crossesMount: Errno { Errno(rawValue: EXDEV) }

  /// EINTR.
  public static var interrupted: Errno { Errno(rawValue: EINTR) }

  /// EINVAL.
  public static var invalidArgument: Errno { Errno(rawValue: EINVAL) }

  /// EIO.
  public static var inputOutput: Errno { Errno(rawValue: EIO) }

  /// EISDIR.
  public static var isDirectory: Errno { Errno(rawValue: EISDIR) }

  /// ENOSYS.
  public static var noSuchCall: Errno { Errno(rawValue: ENOSYS) }

  /// ENODEV.
  public static var noSuchDevice: Errno { Errno(rawValue: ENODEV) }

  /// ENOENT.
  public static var noSuchFile: Errno { Errno(rawValue: ENOENT) }

  /// ENOMEM.
  public static var outOfMemory: Errno { Errno(rawValue: ENOMEM) }

  /// ENOTDIR.
  public static var notDirectory: Errno { Errno(rawValue: ENOTDIR) }

  /// ENOTEMPTY.
  public static var notEmpty: Errno { Errno(rawValue: ENOTEMPTY) }

  /// ENXIO.
  public static var noReader: Errno { Errno(rawValue: ENXIO) }

  /// EOPNOTSUPP.
  public static var notSupported: Errno { Errno(rawValue: EOPNOTSUPP) }

  /// ERANGE.
  public static var outOfRange: Errno { Errno(rawValue: ERANGE) }

  /// ELOOP.
  public static var symbolicLink: Errno { Errno(rawValue: ELOOP) }

  /// EAGAIN.
  public static var wouldBlock: Errno { Errno(rawValue: EAGAIN) }

  /// Appends the system's description in English, such as `Permission denied`.
  public func describe(into text: inout ByteText) {
    // SAFETY: the text is NUL-terminated and immortal.
    unsafe text.append(cString: csystem_error_text(rawValue))
  }
}
