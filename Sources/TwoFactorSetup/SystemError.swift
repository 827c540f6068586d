import Glibc

/// An error number of the system.
struct SystemError: RawRepresentable, Equatable, Error {
  let rawValue: Int32

  static let noSuchFile = SystemError(rawValue: ENOENT)
  static let exists = SystemError(rawValue: EEXIST)
  static let accessDenied = SystemError(rawValue: EACCES)
  static let interrupted = SystemError(rawValue: EINTR)

  /// What the last failed call of this thread left in errno.
  static var current: SystemError { SystemError(rawValue: errno) }

  /// The system's words for it, in lower case.
  var text: String {
    guard let words = unsafe strerror(rawValue) else { return "error \(rawValue)" }
    let text = unsafe String(cString: words)
    return text.prefix(1).lowercased() + text.dropFirst()
  }
}
