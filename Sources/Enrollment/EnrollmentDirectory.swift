internal import CSystem
internal import FixedMemory

/// The open directory of an enrolment: found by a walk that nobody but the user and root can have led astray.
public struct EnrollmentDirectory: ~Copyable {
  let directory: OpenFile

  /// Who must own the files in it: the owner of the directory.
  let owner: uid_t

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

  init(directory: consuming OpenFile, owner: uid_t) {
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
      guard error.error == EACCES, identity.addSupplementaryGroups(of: account) else { throw error }
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
      try identity.assume(account)
      here = try openHome(of: account)
    } else {
      here = try openPart("/", in: AT_FDCWD, "the root directory")
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
      if owner == user, owner != 0 { try identity.assume(account) }
      if goal == .parent {
        if isLast { break }
        // One that is there already, or cannot be made, is found by opening it.
        _ = unsafe name.withCString { unsafe mkdirat(here.descriptor, $0, isBelowHome ? 0o700 : 0o755) }
      }

      let next = unsafe name.withCString { unsafe OpenFile.at(here.descriptor, $0, csystem_o_path | O_DIRECTORY) }
      guard let next else {
        let error = csystem_errno()
        switch error {
        case ENOENT where isHome && owner != user:
          throw EnrollmentFailure(.insecure, "home", "is not the user's own")
        case ENOENT where isLast || isBelowHome: throw EnrollmentFailure(.absent, subject, "is not there")
        case ELOOP, ENOTDIR: throw EnrollmentFailure(.insecure, subject, "is not a directory", error: error)
        default: throw EnrollmentFailure(.io, subject, "cannot be opened", error: error)
        }
      }
      here = next
      owner = try checkedOwner(of: here, subject, account, isHome: false)
      isHome = false
      start = end &+ 1
      if isLast { break }
    }
    // Where the directory is the user's, so is what is in it.
    if owner == user, owner != 0 { try identity.assume(account) }
    return EnrollmentDirectory(directory: here, owner: owner)
  }

  private static func openPart(
    _ path: Literal, in directory: Int32, _ subject: Literal
  ) throws(EnrollmentFailure) -> OpenFile {
    guard let opened = unsafe OpenFile.at(directory, path.cString, csystem_o_path | O_DIRECTORY) else {
      throw EnrollmentFailure(.io, subject, "cannot be opened", error: csystem_errno())
    }
    return opened
  }

  /// Opens the home. A link in its path is the administrator's, and is followed.
  private static func openHome(of account: borrowing Account) throws(EnrollmentFailure) -> OpenFile {
    guard account.home.bytes.byte(at: 0) == UInt8(ascii: "/") else {
      throw EnrollmentFailure(.io, "home", "is not an absolute path")
    }
    let descriptor = unsafe account.home.withCString { path in
      unsafe csystem_openat(AT_FDCWD, path, csystem_o_path | O_DIRECTORY, 0)
    }
    guard descriptor >= 0 else {
      let error = csystem_errno()
      throw EnrollmentFailure(error == ENOTDIR ? .insecure : .io, "home", "cannot be opened", error: error)
    }
    return OpenFile(descriptor: descriptor)
  }

  /// The owner of an open directory: the user or root, with nobody else allowed to write in it.
  private static func checkedOwner(
    of directory: borrowing OpenFile, _ subject: Literal, _ account: borrowing Account, isHome: Bool
  ) throws(EnrollmentFailure) -> uid_t {
    guard let status = directory.status() else {
      throw EnrollmentFailure(.io, subject, "cannot be examined", error: csystem_errno())
    }
    guard status.isDirectory else { throw EnrollmentFailure(.insecure, subject, "is not a directory") }
    let user = account.userID
    guard status.owner == user || status.owner == 0 else {
      throw EnrollmentFailure(.insecure, subject, "is owned by somebody else")
    }
    // In a sticky directory of root's, as /tmp is, nobody can move or remove what is not theirs.
    guard !status.isWritableByOthers || (status.isSticky && status.owner == 0 && !isHome) else {
      throw EnrollmentFailure(.insecure, subject, "can be written by others")
    }
    return status.owner
  }
}
