import Enrollment
import Glibc

/// A file with something secret that the user asked for: readable by its owner alone, on the disk before
/// anything is switched on, and gone again where nothing is.
///
/// It is made with the rights of the account that it is for, also where root writes the enrolment itself.
struct KeptFile {
  let path: String
  private let account: UserAccount
  private let displaced: String?

  /// Writes a new file.
  ///
  /// - Parameters:
  ///   - path: Where it goes.
  ///   - contents: What is in it.
  ///   - force: Whether it may take the place of a file that is there; that one comes back with ``withdraw()``.
  ///   - account: Whose it is to be.
  /// - Throws: ``SetupError``; then everything is as it was.
  init(_ path: String, contents: [UInt8], force: Bool, for account: UserAccount) throws {
    var identity = FileSystemIdentity()
    try Self.take(&identity, of: account)
    self.path = path
    self.account = account
    var displaced: String?
    var status = stat()
    if force, unsafe lstat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFREG else {
        throw SetupError(.refused, "\(path) is not a file", hint: "name another file")
      }
      let aside = "\(path).\(getpid())~"
      guard unsafe rename(path, aside) == 0 else { throw Self.failure("cannot replace", path) }
      displaced = aside
    }
    self.displaced = displaced
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      let error = Self.failure("cannot create", path)
      putBack()
      throw error
    }
    defer { close(descriptor) }
    do {
      // The mask of the caller may have taken rights away from the owner, or from nobody.
      guard fchmod(descriptor, 0o600) == 0 else { throw Self.failure("cannot protect", path) }
      try Self.write(contents, to: descriptor, path)
      try Self.flushDirectory(of: path)
    } catch {
      withdraw()
      throw error
    }
  }

  /// Refuses what ``init(_:contents:force:for:)`` would refuse without force, and changes nothing.
  ///
  /// - Parameters:
  ///   - path: Where the file is to go.
  ///   - account: Whose it is to be.
  /// - Throws: ``SetupError`` where something is there.
  static func requireAbsent(_ path: String, for account: UserAccount) throws {
    var identity = FileSystemIdentity()
    try take(&identity, of: account)
    var status = stat()
    guard unsafe lstat(path, &status) != 0 else { throw isThere(path) }
  }

  /// The file stays; one whose place it took goes.
  func keep() {
    guard let displaced else { return }
    var identity = FileSystemIdentity()
    guard (try? Self.take(&identity, of: account)) != nil else { return }
    unsafe unlink(displaced)
  }

  /// Takes the file back.
  func withdraw() {
    var identity = FileSystemIdentity()
    guard (try? Self.take(&identity, of: account)) != nil else { return }
    unsafe unlink(path)
    putBack()
  }

  private static func take(_ identity: inout FileSystemIdentity, of account: UserAccount) throws {
    do throws(EnrollmentFailure) {
      try identity.assume(account.entry)
    } catch {
      throw SetupError(.notPermitted, "cannot act as \(account.nameText)")
    }
    _ = identity.addSupplementaryGroups(of: account.entry)
  }

  private func putBack() {
    if let displaced { unsafe rename(displaced, path) }
  }

  private static func write(_ contents: [UInt8], to descriptor: Int32, _ path: String) throws {
    var rest = contents[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if SystemError.current != .interrupted {
        throw failure("cannot write", path)
      }
    }
    guard fsync(descriptor) == 0 else { throw failure("cannot write", path) }
  }

  /// Brings the name of a file to the disk: not every file system does that with the file (fsync(2)). A directory that
  /// its owner may not read cannot be flushed.
  private static func flushDirectory(of path: String) throws {
    let end = path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex
    let directory = end == path.startIndex ? "." : String(path[..<end])
    let descriptor = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure("cannot write", path) }
  }

  private static func failure(_ what: String, _ path: String) -> SetupError {
    switch SystemError.current {
    case .exists: isThere(path)
    case .noSuchFile: SetupError(.noSuchFile, "\(what) \(path): the directory is not there")
    case .accessDenied:
      SetupError(
        .notPermitted, "\(what) \(path): \(SystemError.accessDenied.text)",
        hint: "with --user the file is written with that user's rights")
    case let error: SetupError(.inputOutput, "\(what) \(path): \(error.text)")
    }
  }

  private static func isThere(_ path: String) -> SetupError {
    SetupError(.refused, "\(path) is there already", hint: "name another file, or replace it with --force")
  }
}
