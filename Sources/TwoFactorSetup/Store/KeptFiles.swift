import CSystem
import FixedMemory
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

  /// Fails before prompting if a file exists, and `force` does not allow replacing it.
  static func requireAbsent(_ paths: String?..., unless force: Bool, for account: UserAccount) throws {
    for case let path? in paths { try KeptFile.requireFree(path, force: force, for: account) }
  }

  /// `force` allows replacing an existing file that this command wrote.
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

/// One file with a secret, written with the identity of the account and readable by it alone.
///
/// Its directory is opened once: a part of the path that is exchanged between check and replacement has no effect.
private final class KeptFile {
  private let path: String
  private let account: UserAccount
  private let directory: OpenFile
  private let name: String
  /// The new name of the replaced file.
  private var displaced: String?

  /// Writes a new file. `force` allows to replace one that this command wrote, which ``withdraw()`` restores. If this
  /// throws, nothing has changed.
  convenience init(_ path: String, contents: [UInt8], force: Bool, for account: UserAccount) throws {
    var identity = FileSystemIdentity()
    try self.init(path, account, &identity)
    try displace(force: force)
    // SAFETY: the name is NUL-terminated and lent for the call.
    let descriptor = unsafe entry(name).withCString {
      unsafe csystem_openat(directory.descriptor, $0, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
    }
    guard descriptor >= 0 else {
      let error = Errno.current
      putBack()
      throw failure("cannot create", error)
    }
    do throws(Errno) {
      try write(contents, to: OpenFile(owning: descriptor))
      try flushDirectory()
    } catch {
      remove(name)
      putBack()
      throw failure("cannot write", error)
    }
  }

  /// Opens the directory of a path with the identity of the account.
  private init(_ path: String, _ account: UserAccount, _ identity: inout FileSystemIdentity) throws {
    try Self.assume(&identity, of: account)
    self.path = path
    self.account = account
    let end = path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex
    name = String(path[end...])
    do throws(Errno) {
      // SAFETY: the path is a C string for the time of the call.
      directory = try unsafe OpenFile.following(end == path.startIndex ? "." : String(path[..<end]), for: .traversal)
    } catch {
      throw Self.failure("cannot create", path, error)
    }
    guard !path.isEmpty else { throw Self.failure("cannot create", path, .noSuchFile) }
    guard !["", ".", ".."].contains(name) else { throw Self.noFile(path) }
  }

  /// Fails as ``init(_:contents:force:for:)`` would if the file exists, and changes nothing.
  static func requireFree(_ path: String, force: Bool, for account: UserAccount) throws {
    var identity = FileSystemIdentity()
    _ = try KeptFile(path, account, &identity).replaceable(force: force)
  }

  func keep() {
    guard let displaced else { return }
    var identity = FileSystemIdentity()
    guard (try? Self.assume(&identity, of: account)) != nil else { return }
    remove(displaced)
  }

  func withdraw() {
    var identity = FileSystemIdentity()
    guard (try? Self.assume(&identity, of: account)) != nil else { return }
    remove(name)
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

  /// The status of the file to replace; nil if there is none. Throws if the file must stay.
  private func replaceable(force: Bool) throws -> FileStatus? {
    guard let status = try? directory.status(of: entry(name)) else { return nil }
    guard status.isRegularFile else {
      throw Self.noFile(path)
    }
    guard let file = try? directory.open(entry(name), for: .read), let opened = try? file.status(), isOwn(file, opened)
    else {
      throw SetupError(.refused, "\(path) already exists, and not from this command", hint: "name another file")
    }
    guard force else { throw failure("cannot create", .exists) }
    return opened
  }

  /// Whether this command wrote the file for this account. A sudo rule for the command must not replace other files.
  private func isOwn(_ file: borrowing OpenFile, _ status: FileStatus) -> Bool {
    guard TrustRule.file(of: account.entry.userID, allowsHardLinks: false).violation(of: status) == nil,
      var start = SecretBuffer(capacity: 1024), (try? file.read(into: &start)) != nil
    else { return false }
    let bytes = (0..<start.count).map { start.bytes[$0] }
    return QRImage.isOwn(bytes) || BackupCodes.isOwn(bytes)
  }

  private func displace(force: Bool) throws {
    guard let checked = try replaceable(force: force) else { return }
    let aside = "\(name).\(getpid())~"
    do throws(Errno) {
      try directory.rename(entry(name), to: entry(aside))
    } catch {
      throw failure("cannot replace", error)
    }
    displaced = aside
    let moved = try? directory.status(of: entry(aside))
    guard moved?.inode == checked.inode, moved?.device == checked.device else {
      putBack()
      throw SetupError(.refused, "\(path) was exchanged meanwhile", hint: "name another file")
    }
  }

  private func putBack() {
    guard let displaced else { return }
    try? directory.rename(entry(displaced), to: entry(name))
    self.displaced = nil
  }

  private func remove(_ name: String) { try? directory.remove(entry(name)) }

  private func entry(_ name: String) -> ByteText {
    var text = ByteText(capacity: name.utf8.count)
    text.append(name.utf8.span)
    return text
  }

  private func write(_ contents: [UInt8], to file: consuming OpenFile) throws(Errno) {
    // The umask may have cleared permissions of the owner.
    try file.setPermissions(0o600)
    try file.write(contents.span, at: 0)
    try file.synchronize()
  }

  /// Flushes the entry of the file, unless its directory is unreadable.
  private func flushDirectory() throws(Errno) {
    guard let opened = try? directory.open(".", for: .directory) else { return }
    do throws(Errno) {
      try opened.synchronize()
    } catch {
      guard error == .invalidArgument else { throw error }
    }
  }

  private static func noFile(_ path: String) -> SetupError {
    SetupError(.refused, "\(path) is not a file", hint: "name another file")
  }

  private func failure(_ action: String, _ error: Errno) -> SetupError { Self.failure(action, path, error) }

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
