import FixedMemory
import Glibc
import HostAccess
import SystemFiles

enum ImportSource {
  /// In bytes. A users file of 100,000 accounts has 10 million.
  static let longest = 1 << 26

  /// Reads a file as root. Returns nil if another user could have put it there, for example a symlink to a file that
  /// this user cannot read. `owner` may own the file too.
  static func readRootFile(_ path: String, orOwnedBy owner: UserID = .root) throws -> SecretBuffer? {
    guard let file = try? openRootFile(path, orOwnedBy: owner) else { return nil }
    return try read(file.descriptor, path)
  }

  /// Reads a file with the identity of an account. Users may name pipes; root reads only regular files, because a
  /// user's pipe could block it.
  static func readFile(_ path: String, of subject: Subject) throws -> SecretBuffer {
    let account = subject.account
    var identity = FileSystemIdentity()
    if geteuid() != account.userID {
      do throws(Errno) {
        try identity.assume(account.entry)
      } catch {
        throw SetupError(.notPermitted, "cannot act as \(account.nameText)")
      }
      _ = identity.addSupplementaryGroups(of: account.entry)
    }
    let file: OpenFile
    do throws(Errno) {
      // SAFETY: the string is NUL-terminated.
      file = try unsafe OpenFile.following(path, for: .read)
    } catch {
      throw failure(path, error, subject)
    }
    if subject.isManagedByRoot {
      guard (try? file.status())?.isRegularFile == true else {
        throw SetupError(.unusableData, "\(path): not a regular file")
      }
    } else {
      _ = fcntl(file.descriptor, F_SETFL, 0)
    }
    return try read(file.descriptor, path)
  }

  /// Reads standard input to its end; on a terminal, lines without echo until an empty one.
  static func readStandardInput(_ terminal: Terminal) throws -> SecretBuffer {
    guard terminal.isInteractive else { return try read(STDIN_FILENO, "standard input") }
    guard var text = SecretBuffer(capacity: 1 << 16) else { throw SetupError.outOfMemory }
    var question = "otpauth URI, or the first line of the text (an empty line ends it): "
    while true {
      let line = try terminal.ask(question, echo: false, longest: Terminal.longestLine)
      guard line.count > 0 else { return text }
      guard text.append(line.bytes), text.append(UInt8(ascii: "\n")) else { throw tooLong("the input") }
      question = "Next line; an empty line ends the text: "
    }
  }

  private static func read(_ descriptor: Int32, _ name: String) throws -> SecretBuffer {
    guard var text = SecretBuffer(capacity: 4096) else { throw SetupError.outOfMemory }
    while true {
      if text.count == text.capacity {
        guard text.capacity < longest else { throw tooLong(name) }
        guard var larger = SecretBuffer(capacity: 2 * text.capacity), larger.append(text.bytes) else {
          throw SetupError.outOfMemory
        }
        text = larger
      }
      // SAFETY: read(2) gets the size of the memory.
      let count = unsafe text.fill { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count == 0 { return text }
      if count < 0, Errno.current != .interrupted {
        throw Errno.current == .isDirectory
          ? SetupError(.unusableData, "\(name): is a directory")
          : SetupError(.inputOutput, "cannot read \(name): \(Errno.current.text)")
      }
    }
  }

  private static func failure(_ path: String, _ error: Errno, _ subject: Subject) -> SetupError {
    switch error.rawValue {
    case ENOENT, ENOTDIR: SetupError(.noSuchFile, "\(path): no such file")
    case EACCES, EPERM:
      SetupError(
        .notPermitted, "cannot open \(path): \(error.text)",
        hint: subject.isManagedByRoot
          ? "the file is opened with that user's permissions, because others than root can write to its path; "
            + "to read it as root: twofactor import --user \(subject.account.nameText) < FILE"
          : nil)
    default: SetupError(.inputOutput, "cannot open \(path): \(error.text)")
    }
  }

  private static func tooLong(_ name: String) -> SetupError { SetupError(.unusableData, "\(name): too long") }
}

extension ImportSource {
  /// Opens a file if its path contains no symlinks, and only root can write its directories. The owner must be root, or
  /// `owner` if the directory is not sticky like /tmp. Otherwise throws ``Errno/accessDenied``.
  private static func openRootFile(_ path: String, orOwnedBy owner: UserID) throws(Errno) -> OpenFile {
    let parts = try parts(of: path)
    guard let name = parts.last else { throw .accessDenied }
    let directory = try openRootDirectory(parts.dropLast())
    let status = try directory.status()
    let file = try directory.open(byteText(name), for: .read)
    // Another user could have made a hard link to root's file.
    let fileRule = TrustRule.file(of: .root, or: status.isWritableByOthers ? nil : owner, allowsHardLinks: false)
    guard try fileRule.violation(of: file.status()) == nil else { throw .accessDenied }
    return file
  }

  /// Opens a directory if its path contains no symlinks, and only root can write its directories. They may be sticky like
  /// /tmp, except this one unless `allowsSticky`. Otherwise throws ``Errno/accessDenied``.
  static func openRootDirectory(_ path: String, allowsSticky: Bool) throws(Errno) -> OpenFile {
    let directory = try openRootDirectory(parts(of: path)[...])
    let rule = TrustRule.directory(of: .root, allowsSticky: allowsSticky)
    guard try rule.violation(of: directory.status()) == nil else { throw .accessDenied }
    return directory
  }

  private static func openRootDirectory(_ parts: ArraySlice<Substring>) throws(Errno) -> OpenFile {
    // SAFETY: a literal is NUL-terminated.
    var directory = try unsafe OpenFile.following("/", for: .directory)
    let rule = TrustRule.directory(of: .root, allowsSticky: true)
    for part in parts {
      guard try rule.violation(of: directory.status()) == nil else { throw .accessDenied }
      do throws(Errno) {
        directory = try directory.open(byteText(part), for: .directory)
      } catch {
        // A symlink is no directory.
        throw error.rawValue == ENOTDIR || error.rawValue == ELOOP ? .accessDenied : error
      }
    }
    guard try rule.violation(of: directory.status()) == nil else { throw .accessDenied }
    return directory
  }

  /// The parts of an absolute path.
  private static func parts(of path: String) throws(Errno) -> [Substring] {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    // SAFETY: getcwd(3) gets the buffer's size.
    guard unsafe path.hasPrefix("/") || getcwd(&buffer, buffer.count) != nil else { throw .current }
    let absolute = path.hasPrefix("/") ? path : String(terminated: buffer) + "/" + path
    let parts = absolute.split(separator: "/").filter { $0 != "." }
    guard !parts.contains("..") else { throw .accessDenied }
    return parts
  }

  static func byteText(_ part: Substring) throws(Errno) -> ByteText {
    var text = ByteText(capacity: 255)
    text.append(String(part).utf8.span)
    guard !text.isTruncated else { throw Errno(rawValue: ENAMETOOLONG) }
    return text
  }
}
