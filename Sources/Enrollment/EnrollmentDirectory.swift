internal import FixedMemory
public import SystemFiles

/// The open directory of an enrolment: found by a walk that nobody but the user and root can have led astray.
public struct EnrollmentDirectory: ~Copyable {
  let directory: OpenFile

  /// Who must own the files in it: the owner of the directory.
  let owner: UserID

  /// Walks to the directory of an account.
  ///
  /// Below a home the walk begins with the home itself, as the user; elsewhere it begins at the root, and goes
  /// on as the user from the first directory that is the user's. Each part is opened without following a link,
  /// and the open descriptor is what is checked.
  ///
  /// - Parameters:
  ///   - path: Where the directory lies.
  ///   - account: Whose it is.
  ///   - identity: Becomes the user's where the walk needs it.
  /// - Throws: A failure of kind `absent` only where the user is proved not to be enrolled: everything above the
  ///   directory is there and trusted, and the directory is not there.
  public init(
    _ path: borrowing EnrollmentPath, of account: borrowing Account, identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    self = try Self.walk(path, account, &identity, to: .directory)
  }

  /// Walks to the directory in which that of an account lies, or is to lie, and makes what is missing on the way.
  init(
    parentOf path: borrowing EnrollmentPath, of account: borrowing Account, identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    self = try Self.walk(path, account, &identity, to: .parent)
  }

  init(directory: consuming OpenFile, owner: UserID) {
    self.directory = directory
    self.owner = owner
  }

  /// How far to walk.
  private enum Goal {
    case directory

    /// To what the directory lies in, making directories that are missing.
    case parent
  }

  private static func walk(
    _ path: borrowing EnrollmentPath, _ account: borrowing Account, _ identity: inout FileSystemIdentity, to goal: Goal
  ) throws(EnrollmentFailure) -> EnrollmentDirectory {
    do throws(EnrollmentFailure) {
      return try walkOnce(path, account, &identity, to: goal)
    } catch {
      // The supplementary groups are asked for only where the path is closed without them.
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
    var owner = try checkedOwner(of: here, isHome ? "home" : "the root directory", account, isHome: isHome)

    while true {
      let length = path.below.count
      let end = path.below.bytes.firstIndex(of: UInt8(ascii: "/"), from: start) ?? length
      let isLast = end >= length
      let subject: Literal = isLast ? "directory" : "a part of the path to the directory"
      var name = ByteText(capacity: 255)
      name.append(path.below.bytes.slice(from: start, to: end))
      guard name.hasMemory else { throw EnrollmentFailure(.io, "directory", "out of memory") }
      guard !name.isTruncated else { throw EnrollmentFailure(.configuration, "directory", "has a part too long") }
      if owner == user, owner != .root { try assume(account, &identity) }
      if goal == .parent {
        if isLast { break }
        // One that is there already, or cannot be made, is found by opening it.
        do throws(Errno) {
          try here.makeDirectory(name, permissions: isBelowHome ? 0o700 : 0o755)
        } catch {}
      }

      do throws(Errno) {
        here = try here.open(name, for: .traversal)
      } catch {
        switch error {
        case .noSuchFile where isHome && owner != user:
          throw EnrollmentFailure(.insecure, "home", "is not the user's own")
        case .noSuchFile where isLast || isBelowHome: throw EnrollmentFailure(.absent, subject, "is not there")
        case .symbolicLink, .notDirectory:
          throw EnrollmentFailure(.insecure, subject, "is not a directory", error: error)
        default: throw EnrollmentFailure(.io, subject, "cannot be opened", error: error)
        }
      }
      owner = try checkedOwner(of: here, subject, account, isHome: false)
      isHome = false
      start = end &+ 1
      if isLast { break }
    }
    // Where the directory is the user's, so is what is in it.
    if owner == user, owner != .root { try assume(account, &identity) }
    return EnrollmentDirectory(directory: here, owner: owner)
  }

  private static func assume(
    _ account: borrowing Account, _ identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) {
    try attempt("identity", "cannot become the user", identity.assume(account))
  }

  /// Opens the home. A link in its path is the administrator's, and is followed.
  private static func openHome(of account: borrowing Account) throws(EnrollmentFailure) -> OpenFile {
    guard account.home.bytes.byte(at: 0) == UInt8(ascii: "/") else {
      throw EnrollmentFailure(.io, "home", "is not an absolute path")
    }
    do throws(Errno) {
      // SAFETY: the path is NUL-terminated and lent for the call.
      return try unsafe account.home.withCString { path throws(Errno) in
        try unsafe OpenFile.following(path, for: .traversal)
      }
    } catch {
      throw EnrollmentFailure(error == .notDirectory ? .insecure : .io, "home", "cannot be opened", error: error)
    }
  }

  /// The owner of an open directory: the user or root, with nobody else allowed to write in it.
  private static func checkedOwner(
    of directory: borrowing OpenFile, _ subject: Literal, _ account: borrowing Account, isHome: Bool
  ) throws(EnrollmentFailure) -> UserID {
    let status = try attempt(subject, "cannot be examined", directory.status())
    let rule = TrustRule.directory(of: account.userID, allowsSticky: !isHome)
    if let violation = rule.violation(of: status) { throw EnrollmentFailure(.insecure, subject, violation.text) }
    return status.owner
  }
}
