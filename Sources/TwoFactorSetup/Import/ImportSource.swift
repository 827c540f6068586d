import Enrollment
import FixedMemory
import Glibc

/// The text that is imported, read whole.
enum ImportSource {
  /// The longest text, in bytes: a users file of a hundred thousand accounts has ten million.
  static let longest = 1 << 26

  /// Reads a file that root alone can have put where it is, as root: what a user cannot read is imported for that
  /// user only where the user cannot have chosen it, by a link or otherwise.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - owner: Who may own the file beside root.
  /// - Returns: The text; nil where the file, or a directory on the way, is not root's alone.
  /// - Throws: ``SetupError`` where it cannot be read.
  static func readFileOfRoot(_ path: String, orOwnedBy owner: uid_t = 0) throws -> SecretBuffer? {
    guard let descriptor = RootsFile.open(path, orOwnedBy: owner) else { return nil }
    defer { close(descriptor) }
    return try read(descriptor, path)
  }

  /// Reads a file with the rights of an account. For its owner that may be a pipe; root is not kept waiting by what
  /// somebody else made.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - subject: Whose rights.
  /// - Returns: The text.
  /// - Throws: ``SetupError``: ``ExitStatus/noSuchFile``, ``ExitStatus/notPermitted``.
  static func readFile(_ path: String, of subject: Subject) throws -> SecretBuffer {
    let account = subject.account
    var identity = FileSystemIdentity()
    if geteuid() != account.userID {
      do throws(EnrollmentFailure) {
        try identity.assume(account.entry)
      } catch {
        throw SetupError(.notPermitted, "cannot act as \(account.nameText)")
      }
      _ = identity.addSupplementaryGroups(of: account.entry)
    }
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
    guard descriptor >= 0 else { throw failure(path, .current, subject) }
    defer { close(descriptor) }
    if subject.isManagedByRoot {
      var status = stat()
      guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
        throw SetupError(.unusableData, "\(path): is not a file")
      }
    } else {
      _ = fcntl(descriptor, F_SETFL, 0)
    }
    return try read(descriptor, path)
  }

  /// Reads standard input to its end. At a terminal lines are asked for, up to an empty one, and not shown.
  static func readStandardInput(_ terminal: Terminal) throws -> SecretBuffer {
    guard terminal.isInteractive else { return try read(STDIN_FILENO, "standard input") }
    guard var text = SecretBuffer(capacity: 1 << 16) else { throw outOfMemory }
    var question = "otpauth URI, or the first line of the file: "
    while true {
      let line = try terminal.ask(question, echo: false)
      guard line.count > 0 else { return text }
      guard text.append(line.bytes), text.append(UInt8(ascii: "\n")) else { throw tooLong("the input") }
      question = "Next line, or none: "
    }
  }

  private static func read(_ descriptor: Int32, _ name: String) throws -> SecretBuffer {
    var status = stat()
    let size = unsafe fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : 0
    guard size <= longest else { throw tooLong(name) }
    guard var text = SecretBuffer(capacity: max(size, 4096) + 1) else { throw outOfMemory }
    while true {
      if text.count == text.capacity {
        guard text.capacity <= longest else { throw tooLong(name) }
        guard var larger = SecretBuffer(capacity: 2 * text.capacity), larger.append(text.bytes) else {
          throw outOfMemory
        }
        text = larger
      }
      let count = unsafe text.fill { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count == 0 { return text }
      if count < 0, SystemError.current != .interrupted {
        throw SystemError.current.rawValue == EISDIR
          ? SetupError(.unusableData, "\(name): is a directory")
          : SetupError(.inputOutput, "cannot read \(name): \(SystemError.current.text)")
      }
    }
  }

  private static func failure(_ path: String, _ error: SystemError, _ subject: Subject) -> SetupError {
    switch error.rawValue {
    case ENOENT, ENOTDIR: SetupError(.noSuchFile, "\(path): no such file")
    case EACCES, EPERM:
      SetupError(
        .notPermitted, "cannot open \(path): \(error.text)",
        hint: subject.isManagedByRoot
          ? "it is opened with the rights of that user, unless root alone can have put it there; "
            + "to open it yourself: twofactor import --user \(subject.account.nameText) < FILE"
          : nil)
    default: SetupError(.inputOutput, "cannot open \(path): \(error.text)")
    }
  }

  private static func tooLong(_ name: String) -> SetupError { SetupError(.unusableData, "\(name): is too long") }

  private static var outOfMemory: SetupError { SetupError(.inputOutput, "out of memory") }
}
