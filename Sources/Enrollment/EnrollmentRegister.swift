public import FixedMemory
public import SystemFiles

/// The register of enrolled users: an empty file per user ID in `/var/lib/twofactor/enrolled`.
///
/// A home directory that is encrypted, unmounted or covered by another mount looks like one without an enrollment. So a
/// missing enrollment proves nothing if the register names the user. Users cannot search the register. Each entry
/// belongs to its user, so that the user's helper process can remove no other. Searching the register needs root's
/// file-system identity or the helper's group.
public enum EnrollmentRegister {
  /// The directory of the register.
  public static var path: Literal { "/var/lib/twofactor/enrolled" }

  /// The result of looking up a user.
  public enum Answer: Sendable {
    case registered

    case notRegistered

    /// There is no register. `isParentThere`: whether `/var/lib/twofactor` exists.
    case noRegister(isParentThere: Bool)

    /// The process does not run as root, so it cannot search the register.
    case notPermitted

    /// The register is unreadable or not trusted.
    case unknown(EnrollmentFailure)
  }

  /// Looks up a user.
  public static func contains(_ user: UserID) -> Answer {
    var isParentThere = false
    do throws(EnrollmentFailure) {
      let register = try open(&isParentThere)
      return try isEntry(user, in: register) ? .registered : .notRegistered
    } catch {
      if error.reason == .absent { return .noRegister(isParentThere: isParentThere) }
      return UserID.effective == .root ? .unknown(error) : .notPermitted
    }
  }

  /// Adds a user, if missing. Does not flush the entry: after a crash, the next accepted login adds it again.
  ///
  /// - Returns: Whether the register changed.
  /// - Throws: A failure of kind `absent` if there is no register.
  @discardableResult
  public static func add(_ user: UserID) throws(EnrollmentFailure) -> Bool {
    var isParentThere = false
    let register = try open(&isParentThere)
    do throws(Errno) {
      let file = try register.create(entry(of: user), for: .write, permissions: 0o600)
      do throws(Errno) {
        try file.setOwner(user)
      } catch {
        // The user's helper could not remove an entry of root.
        do throws(Errno) { try register.remove(entry(of: user)) } catch {}
        throw error
      }
      return true
    } catch {
      guard error != .exists else { return false }
      throw EnrollmentFailure(.io, subject, "cannot be written", error: error)
    }
  }

  /// Adds a user after an accepted login; costs one system call if the entry exists. Ignores errors, because the login
  /// is valid without an entry.
  public static func noteLogin(of user: UserID) {
    // On the stack, because a lack of memory must not change the outcome. SAFETY: `entry` does not outlive the closure.
    unsafe ByteText.onStack(capacity: 63) { entry in
      entry.append(path)
      entry.append(UInt8(ascii: "/"))
      entry.append(decimal: UInt64(user.rawValue))
      // SAFETY: the path is NUL-terminated.
      guard unsafe entry.withCString({ unsafe isMissing($0) }), unsafe !isMissing(path.cString),
        UserID.effective == .root
      else { return }
      do throws(EnrollmentFailure) { try add(user) } catch {}
    }
  }

  private static func isMissing(_ path: UnsafePointer<CChar>) -> Bool {
    do throws(Errno) {
      // SAFETY: the callers' paths are NUL-terminated.
      _ = try unsafe FileStatus(of: path, followsSymlink: false)
      return false
    } catch {
      return error == .noSuchFile
    }
  }

  /// Removes a user, if present. Does nothing if there is no register.
  ///
  /// - Returns: Whether the register changed.
  @discardableResult
  public static func remove(_ user: UserID) throws(EnrollmentFailure) -> Bool {
    var isParentThere = false
    do throws(EnrollmentFailure) {
      let register = try open(&isParentThere)
      do throws(Errno) {
        try register.remove(entry(of: user))
        return true
      } catch {
        guard error != .noSuchFile else { return false }
        throw EnrollmentFailure(.io, subject, "cannot be written", error: error)
      }
    } catch {
      guard error.reason != .absent else { return false }
      throw error
    }
  }

  /// The users in the register.
  ///
  /// - Throws: A failure of kind `absent` if there is no register.
  public static func users() throws(EnrollmentFailure) -> Users {
    var isParentThere = false
    let register = try open(&isParentThere)
    return try Users(names: attempt(subject, "cannot be read", register.names()))
  }

  /// Iterates over the users in the register, and skips names that are no user ID.
  public struct Users: ~Copyable {
    var names: DirectoryNames

    /// The next user; nil at the end.
    public mutating func next() -> UserID? {
      while let name = names.next() {
        let user = EnrollmentRegister.user(of: name)
        if user != .invalid { return user }
      }
      return nil
    }
  }

  private static var subject: Literal { "register" }

  private static func entry(of user: UserID) -> ByteText {
    var name = ByteText(capacity: 20)
    name.append(decimal: UInt64(user.rawValue))
    return name
  }

  /// Returns ``UserID/invalid`` if the name is no user ID.
  private static func user(of name: borrowing ByteText) -> UserID {
    let limit = UserID.invalid.rawValue
    let number = name.bytes.decimal(upTo: UInt64(limit)) ?? UInt64(limit)
    return UserID(rawValue: UInt32(truncatingIfNeeded: number))
  }

  private static func isEntry(_ user: UserID, in register: borrowing OpenFile) throws(EnrollmentFailure) -> Bool {
    let name = entry(of: user)
    guard name.hasMemory else { throw EnrollmentFailure(.io, subject, "out of memory") }
    do throws(Errno) {
      _ = try register.status(of: name)
      return true
    } catch {
      guard error != .noSuchFile else { return false }
      throw EnrollmentFailure(.io, subject, "cannot be read", error: error)
    }
  }

  /// Opens the register through directories that only root can change. Sets `isParentThere` once the parent is open.
  private static func open(_ isParentThere: inout Bool) throws(EnrollmentFailure) -> OpenFile {
    // SAFETY: a literal is NUL-terminated.
    var here = try unsafe attempt(
      "the root directory", "cannot be opened", OpenFile.following(Literal("/").cString, for: .traversal))
    try check(here, "the root directory")
    // Up to here, follow root's symlinks, because many hosts have moved /var to another disk.
    here = try open("var", in: here, parent, followsSymlink: true)
    here = try open("lib", in: here, parent, followsSymlink: true)
    here = try open("twofactor", in: here, parent)
    isParentThere = true
    return try open("enrolled", in: here, subject)
  }

  private static var parent: Literal { "a parent of the register" }

  private static func open(
    _ name: Literal, in directory: borrowing OpenFile, _ subject: Literal, followsSymlink: Bool = false
  ) throws(EnrollmentFailure) -> OpenFile {
    let opened: OpenFile
    do throws(Errno) {
      opened =
        try followsSymlink
        ? directory.open(following: name, for: .traversal) : directory.open(name, for: .traversal)
    } catch {
      switch error {
      case .noSuchFile: throw EnrollmentFailure(.absent, subject, "does not exist")
      case .symbolicLink, .notDirectory: throw EnrollmentFailure(.io, subject, "is not a directory", error: error)
      default: throw EnrollmentFailure(.io, subject, "cannot be opened", error: error)
      }
    }
    try check(opened, subject)
    return opened
  }

  private static func check(_ directory: borrowing OpenFile, _ subject: Literal) throws(EnrollmentFailure) {
    let status = try attempt(subject, "cannot be examined", directory.status())
    if let violation = TrustRule.rootDirectory.violation(of: status) {
      throw EnrollmentFailure(.io, subject, violation.text)
    }
  }
}
