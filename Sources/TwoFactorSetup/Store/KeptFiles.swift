import Glibc
import HostAccess
import SystemFiles

/// The files that a subcommand writes for the user before a change. They are removed again if the change fails.
///
/// While this value exists, signals stay pending until the next question or ``checkForInterruption()``.
struct KeptFiles: ~Copyable {
  private let interruptions: Interruptions
  private let account: UserAccount
  private var files: [KeptFile] = []

  private init(_ account: UserAccount) throws {
    interruptions = try Interruptions()
    self.account = account
  }

  /// Removes the files again if `body` throws.
  static func keeping(for account: UserAccount, _ body: (inout KeptFiles) throws -> Void) throws {
    var kept = try KeptFiles(account)
    do {
      try body(&kept)
    } catch {
      kept.files.forEach { $0.withdraw() }
      throw error
    }
    kept.files.forEach { $0.keep() }
    // The change is made, so discard signals.
    while kept.interruptions.next() != nil {}
  }

  /// Fails before prompting if a file exists and `force` does not allow replacing it.
  static func requireAbsent(_ paths: String?..., unless force: Bool, for account: UserAccount) throws {
    for case let path? in paths where !force { try KeptFile.requireAbsent(path, for: account) }
  }

  /// `force` allows replacing an existing file.
  mutating func write(_ path: String, contents: [UInt8], force: Bool) throws {
    files.append(try KeptFile(path, contents: contents, force: force, for: account))
  }

  /// Throws ``Interruption`` if a signal is pending. Call it immediately before the change.
  func checkForInterruption() throws {
    while let signal = interruptions.next() {
      guard signal == SIGTSTP else { throw Interruption(signal: signal) }
      Interruptions.deliver(signal)
    }
  }
}

/// A file with a secret, written with the identity of the account and readable only by it.
private struct KeptFile {
  let path: String
  private let account: UserAccount
  private let displaced: String?

  /// Writes a file. With `force`, moves an existing one aside, which ``withdraw()`` restores. If this throws, nothing
  /// has changed.
  init(_ path: String, contents: [UInt8], force: Bool, for account: UserAccount) throws {
    var identity = FileSystemIdentity()
    try Self.assume(&identity, of: account)
    self.path = path
    self.account = account
    displaced = force ? try Self.displace(path) : nil
    // SAFETY: the path is NUL-terminated.
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      let error = Errno.current
      putBack()
      throw Self.failure("cannot create", path, error)
    }
    do throws(Errno) {
      try Self.write(contents, to: OpenFile(owning: descriptor))
      try Self.flushDirectory(of: path)
    } catch {
      withdraw()
      throw Self.failure("cannot write", path, error)
    }
  }

  /// Fails as the initializer would without `force`.
  static func requireAbsent(_ path: String, for account: UserAccount) throws {
    var identity = FileSystemIdentity()
    try assume(&identity, of: account)
    if mode(path) != nil { throw failure("cannot create", path, .exists) }
  }

  func keep() {
    guard let displaced else { return }
    var identity = FileSystemIdentity()
    guard (try? Self.assume(&identity, of: account)) != nil else { return }
    Self.remove(displaced)
  }

  func withdraw() {
    var identity = FileSystemIdentity()
    guard (try? Self.assume(&identity, of: account)) != nil else { return }
    Self.remove(path)
    putBack()
  }

  private static func assume(_ identity: inout FileSystemIdentity, of account: UserAccount) throws {
    do throws(Errno) {
      try identity.assume(account.entry)
    } catch {
      throw SetupError(.notPermitted, "cannot act as \(account.nameText)")
    }
    _ = identity.addSupplementaryGroups(of: account.entry)
  }

  private static func displace(_ path: String) throws -> String? {
    guard let mode = mode(path) else { return nil }
    guard mode & S_IFMT == S_IFREG else {
      throw SetupError(.refused, "\(path) is not a file", hint: "name another file")
    }
    let aside = "\(path).\(getpid())~"
    // SAFETY: both paths are NUL-terminated.
    guard unsafe rename(path, aside) == 0 else { throw failure("cannot replace", path, .current) }
    return aside
  }

  private func putBack() {
    // SAFETY: both paths are NUL-terminated.
    if let displaced { unsafe rename(displaced, path) }
  }

  private static func remove(_ path: String) {
    // SAFETY: the path is NUL-terminated.
    _ = unsafe unlink(path)
  }

  /// Does not follow a symlink; nil if the file does not exist.
  private static func mode(_ path: String) -> mode_t? {
    var status = stat()
    // SAFETY: lstat(2) writes one stat.
    return unsafe lstat(path, &status) == 0 ? status.st_mode : nil
  }

  private static func write(_ contents: [UInt8], to file: consuming OpenFile) throws(Errno) {
    // The umask may have cleared the owner's permissions.
    try file.setPermissions(0o600)
    try file.write(contents.span, at: 0)
    try file.synchronize()
  }

  /// Flushes the file's directory entry, unless the directory is unreadable.
  private static func flushDirectory(of path: String) throws(Errno) {
    let end = path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex
    let directory = end == path.startIndex ? "." : String(path[..<end])
    // SAFETY: the path is NUL-terminated.
    guard let opened = try? unsafe OpenFile.following(directory, for: .directory) else { return }
    do throws(Errno) {
      try opened.synchronize()
    } catch {
      guard error == .invalidArgument else { throw error }
    }
  }

  private static func failure(_ action: String, _ path: String, _ error: Errno) -> SetupError {
    switch error {
    case .exists:
      SetupError(.refused, "\(path) already exists", hint: "name another file, or replace it with --force")
    case .noSuchFile: SetupError(.noSuchFile, "\(action) \(path): the directory does not exist")
    case .accessDenied:
      SetupError(
        .notPermitted, "\(action) \(path): \(error.text)",
        hint: "with --user, that user must be able to write the file")
    default: SetupError(.inputOutput, "\(action) \(path): \(error.text)")
    }
  }
}
