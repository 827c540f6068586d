internal import FixedMemory
public import SystemFiles

/// The open directory of an enrollment, reached through directories that only the user and root can change.
public struct EnrollmentDirectory: ~Copyable {
  let directory: OpenFile

  /// Must also own the files.
  let owner: UserID

  private let isShared: Bool

  /// Opens the directory of an account without following symlinks, and checks each open descriptor on the way.
  ///
  /// Opens a path below the home directory with the user's identity. Opens any other path from the root directory, and
  /// assumes the user's identity at the first directory that the user owns; in the host store one directory earlier,
  /// with the group that may search it, so that root creates and removes entries as the user's helper does.
  ///
  /// A failure of kind `absent` means that all parents exist and are trusted. It proves that the user is not enrolled
  /// unless the ``EnrollmentRegister`` names the user; see ``EnrollmentFailure/isProven``.
  public init(
    _ path: borrowing EnrollmentPath, of account: borrowing Account, identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    self = try Self.walk(path, account, &identity, to: .directory)
  }

  /// Opens the parent of an account's directory, and creates missing directories.
  init(
    parentOf path: borrowing EnrollmentPath, of account: borrowing Account, identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    self = try Self.walk(path, account, &identity, to: .parent)
  }

  package init(directory: consuming OpenFile, owner: UserID, isShared: Bool = false) {
    self.directory = directory
    self.owner = owner
    self.isShared = isShared
  }

  private enum Goal {
    case directory
    case parent
  }

  @inline(never)
  private static func walk(
    _ path: borrowing EnrollmentPath, _ account: borrowing Account, _ identity: inout FileSystemIdentity, to goal: Goal
  ) throws(EnrollmentFailure) -> EnrollmentDirectory {
    do throws(EnrollmentFailure) {
      return try walkOnce(path, account, &identity, to: goal)
    } catch {
      // A lookup of supplementary groups is slow, and few paths need them.
      guard error.error == .accessDenied, identity.addSupplementaryGroups(of: account) else { throw error }
      return try walkOnce(path, account, &identity, to: goal)
    }
  }

  private static func walkOnce(
    _ path: borrowing EnrollmentPath, _ account: borrowing Account, _ identity: inout FileSystemIdentity, to goal: Goal
  ) throws(EnrollmentFailure) -> EnrollmentDirectory {
    let (user, isBelowHome) = (account.userID, path.isBelowHome)
    var here: OpenFile
    var start = 0
    var isHome = isBelowHome
    if isBelowHome {
      try assume(account, &identity)
      here = try openHome(of: account)
    } else {
      // SAFETY: a literal is NUL-terminated.
      here = try unsafe attempt(
        "the root directory", "cannot be opened", OpenFile.following(Literal("/").cString, for: .traversal))
      start = 1
    }
    var status = try checkedStatus(of: here, isHome ? "home" : "the root directory", account, isHome: isHome)
    var owner = status.owner
    var group = account.groupID

    while true {
      let length = path.below.count
      let end = path.below.bytes.firstIndex(of: UInt8(ascii: "/"), from: start) ?? length
      let isLast = end >= length
      let subject: Literal = isLast ? "directory" : "a parent of the directory"
      var name = ByteText(capacity: 255)
      name.append(path.below.bytes.slice(from: start, to: end))
      guard name.hasMemory else { throw EnrollmentFailure(.io, "directory", "out of memory") }
      guard !name.isTruncated else {
        throw EnrollmentFailure(.configuration, "directory", "has a component that is too long")
      }
      if owner == user, owner != .root { try assume(account, &identity) }
      if path.isInHostStore, isLast, user != .root { try assume(account, &identity, group: group) }
      if goal == .parent, isLast { break }
      if goal == .parent, !path.isInHostStore {
        do throws(Errno) {
          try here.makeDirectory(name, permissions: isBelowHome ? 0o700 : 0o755)
        } catch {
          // It exists, or opening it will fail.
        }
      }

      do throws(Errno) {
        // Users may mount FUSE file systems on their own directories, also on one that root made for them. On a home
        // itself, this cannot be avoided.
        if isBelowHome || owner == user || isLast {
          here = try here.openUnlessFUSE(name, for: .traversal)
        } else if path.isInHostStore, end <= varLib {
          // As for the register, follow root's symlinks, because many hosts have moved /var to another disk.
          here = try here.open(following: name, for: .traversal)
        } else {
          here = try here.open(name, for: .traversal)
        }
      } catch {
        switch error {
        case .crossesMount: throw .onFUSE(subject)
        case .noSuchFile where isHome && owner != user:
          throw EnrollmentFailure(.insecure, "home", "is not owned by the user")
        case .noSuchFile where isLast || isBelowHome:
          let place: Literal = isHome ? "home" : "a parent of the directory"
          guard try !attempt(place, "cannot be examined", here.hidesNames()) else {
            throw EnrollmentFailure(.missing, place, "is encrypted, and its key is absent")
          }
          let isProven = path.isShared && LockReach(of: here, device: status.device) == .allHosts
          throw EnrollmentFailure(
            .absent, subject, isProven ? EnrollmentFailure.problemOfProvenAbsence : "does not exist")
        case .symbolicLink, .notDirectory:
          throw EnrollmentFailure(.insecure, subject, "is not a directory", error: error)
        case .accessDenied where isHome: throw EnrollmentFailure(.io, "home", "cannot be searched", error: error)
        default: throw EnrollmentFailure(.io, subject, "cannot be opened", error: error)
        }
      }
      status = try checkedStatus(of: here, subject, account, isHome: false)
      (owner, group) = (status.owner, status.group)
      isHome = false
      start = end &+ 1
      if isLast { break }
    }
    // The user owns the files in the directory, too.
    if owner == user, owner != .root { try assume(account, &identity) }
    let found = EnrollmentDirectory(directory: here, owner: owner, isShared: path.isShared)
    if goal == .parent { try found.requireLockReach(of: found.directory, status) }
    return found
  }

  /// The length of `/var/lib`.
  private static var varLib: Int { 8 }

  private static func assume(
    _ account: borrowing Account, _ identity: inout FileSystemIdentity, group: GroupID? = nil
  ) throws(EnrollmentFailure) {
    try attempt(
      "identity", "cannot assume the identity of the owner",
      identity.assume(account.userID, group ?? account.groupID))
  }

  /// Follows symlinks in the path of the home directory, which only the administrator can create.
  private static func openHome(of account: borrowing Account) throws(EnrollmentFailure) -> OpenFile {
    guard account.home.bytes.byte(at: 0) == UInt8(ascii: "/") else {
      throw EnrollmentFailure(.io, "home", "is not an absolute path")
    }
    do throws(Errno) {
      // SAFETY: the path is NUL-terminated.
      return try unsafe account.home.withCString { path throws(Errno) in
        try unsafe OpenFile.following(path, for: .traversal)
      }
    } catch {
      throw EnrollmentFailure(error == .notDirectory ? .insecure : .io, "home", "cannot be opened", error: error)
    }
  }

  private static func checkedStatus(
    of directory: borrowing OpenFile, _ subject: Literal, _ account: borrowing Account, isHome: Bool
  ) throws(EnrollmentFailure) -> FileStatus {
    let status = try attempt(subject, "cannot be examined", directory.status())
    let rule = TrustRule.directory(of: account.userID, allowsSticky: !isHome)
    if let violation = rule.violation(of: status) { throw EnrollmentFailure(.insecure, subject, violation.text) }
    return status
  }
}

extension EnrollmentDirectory {
  /// Reads the credential. If it is missing, the enrollment is corrupt: this does not prove that the user is not
  /// enrolled.
  public borrowing func readCredential() throws(EnrollmentFailure) -> Credential {
    let file = try openFile("credential", for: .read)
    let status = try checkedStatus(of: file, "credential")
    guard status.size <= Int64(Credential.maximumLength) else {
      throw EnrollmentFailure(.corrupt, "credential", "is too long")
    }
    guard status.size > 0 else { throw EnrollmentFailure(.corrupt, "credential", "is empty") }
    guard var text = SecretBuffer(capacity: Int(truncatingIfNeeded: status.size)) else {
      throw EnrollmentFailure(.io, "credential", "out of memory")
    }
    try attempt("credential", "cannot be read", file.read(into: &text))
    return try Credential(parsing: text)
  }

  /// Throws a failure of kind `insecure` if a FUSE file system is mounted on one of the files.
  public borrowing func requireNoFUSE() throws(EnrollmentFailure) {
    _ = try openFile("credential", for: .status)
    _ = try openFile("state", for: .status)
  }

  /// Whether each update of the state needs free space, because btrfs copies it; false if unknown.
  public var copiesStateOnWrite: Bool {
    do throws(EnrollmentFailure) {
      return try openFile("state", for: .read).copiesOnWrite
    } catch {
      return false
    }
  }

  borrowing func openFile(_ name: Literal, for purpose: OpenFile.Purpose) throws(EnrollmentFailure) -> OpenFile {
    do throws(Errno) {
      return try directory.openUnlessFUSE(name, for: purpose)
    } catch {
      switch error {
      case .crossesMount: throw .onFUSE(name)
      case .noSuchFile: throw EnrollmentFailure(.corrupt, name, "is missing", error: error)
      case .symbolicLink, .isDirectory, .noReader, .noSuchDevice, .notDirectory:
        throw EnrollmentFailure(.insecure, name, "is not a regular file", error: error)
      case .accessDenied where !isOwned(name):
        throw EnrollmentFailure(.insecure, name, TrustRule.Violation.foreignOwner.text)
      default: throw EnrollmentFailure(.io, name, "cannot be opened", error: error)
      }
    }
  }

  private borrowing func isOwned(_ name: Literal) -> Bool {
    do throws(Errno) {
      return try directory.openUnlessFUSE(name, for: .status).status().owner == owner
    } catch {
      return true
    }
  }

  /// Throws a failure of kind `io` if other hosts use the file, and its lock may not reach them.
  borrowing func requireLockReach(of file: borrowing OpenFile, _ status: FileStatus) throws(EnrollmentFailure) {
    guard isShared, let fileSystem = LockReach(of: file, device: status.device).unsafeFileSystem else { return }
    throw EnrollmentFailure(.io, fileSystem, "unsafe on several hosts")
  }

  /// Checks that only the owner of the directory can read and write the file.
  borrowing func checkedStatus(
    of file: borrowing OpenFile, _ name: Literal
  ) throws(EnrollmentFailure) -> FileStatus {
    let status = try attempt(name, "cannot be examined", file.status())
    if let violation = TrustRule.privateFile(of: owner).violation(of: status) {
      throw EnrollmentFailure(.insecure, name, violation.text)
    }
    return status
  }
}

extension EnrollmentFailure {
  /// A FUSE file system can block a login for ever, because a user's program serves it.
  fileprivate static func onFUSE(_ subject: Literal) -> EnrollmentFailure {
    EnrollmentFailure(.insecure, subject, problemOfFUSE)
  }
}
