public import FixedMemory
public import SystemFiles

/// The register of enrolled users: one empty file per user ID in `/var/lib/twofactor/enrolled`.
///
/// A home directory that is encrypted, not mounted or covered by another mount looks like one without an enrollment. So
/// only a user whom the register does not name is certainly not enrolled. Users cannot search the directory, and each
/// file belongs to its user, whose helper process can remove no other one. Use it with root's file-system identity.
public enum EnrollmentRegister {
  /// The directory of the register.
  public static var path: Literal { "/var/lib/twofactor/enrolled" }

  /// The result of looking up a user.
  public enum Answer: Sendable {
    case registered

    case notRegistered

    /// This host has no register. `isParentThere` if `/var/lib/twofactor` exists all the same.
    case noRegister(isParentThere: Bool)

    /// This process is not root's, and cannot search the register.
    case notPermitted

    /// The register cannot be read or trusted.
    case unknown(EnrollmentFailure)
  }

  /// Whether the register names a user.
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

  /// Adds a user. Does nothing if the register names the user already. The new entry is not flushed: after a crash, the
  /// next accepted login adds it again.
  ///
  /// - Returns: Whether the register changed.
  /// - Throws: A failure of kind `absent` if this host has no register.
  @discardableResult
  public static func add(_ user: UserID) throws(EnrollmentFailure) -> Bool {
    var isParentThere = false
    let register = try open(&isParentThere)
    do throws(Errno) {
      let file = try register.create(entry(of: user), for: .write, permissions: 0o600)
      try file.setOwner(user)
      return true
    } catch {
      guard error != .exists else { return false }
      throw EnrollmentFailure(.io, subject, "cannot be written", error: error)
    }
  }

  /// Adds a user after an accepted login, if the register does not name the user. One system call if it does. Errors
  /// are ignored: the login is valid without an entry.
  public static func noteLogin(of user: UserID) {
    var entry = ByteText(capacity: 63)
    entry.append(path)
    entry.append(UInt8(ascii: "/"))
    entry.append(decimal: UInt64(user.rawValue))
    // SAFETY: the path is NUL-terminated and lent for the call.
    guard unsafe entry.withCString({ unsafe isMissing($0) }), unsafe !isMissing(path.cString),
      UserID.effective == .root
    else { return }
    do throws(EnrollmentFailure) { try add(user) } catch {}
  }

  private static func isMissing(_ path: UnsafePointer<CChar>) -> Bool {
    do throws(Errno) {
      // SAFETY: the callers pass a NUL-terminated path.
      _ = try unsafe FileStatus(of: path, followsSymlink: false)
      return false
    } catch {
      return error == .noSuchFile
    }
  }

  /// Removes a user. Does nothing if the register does not name the user, or if this host has no register.
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
  /// - Throws: A failure of kind `absent` if this host has no register.
  public static func users() throws(EnrollmentFailure) -> Users {
    var isParentThere = false
    let register = try open(&isParentThere)
    return try Users(names: attempt(subject, "cannot be read", register.names()))
  }

  /// An iteration over the users in the register. Names that are no user ID are skipped.
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

  /// The user of an entry; ``UserID/invalid`` if the name is no user ID.
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

  /// Opens the register. Only root can change the directories on the way. `isParentThere` becomes true if the parent
  /// directory exists.
  private static func open(_ isParentThere: inout Bool) throws(EnrollmentFailure) -> OpenFile {
    // SAFETY: a literal is NUL-terminated.
    var here = try unsafe attempt(
      "the root directory", "cannot be opened", OpenFile.following(Literal("/").cString, for: .traversal))
    try check(here, "the root directory")
    here = try open("var", in: here, parent)
    here = try open("lib", in: here, parent)
    here = try open("twofactor", in: here, parent)
    isParentThere = true
    return try open("enrolled", in: here, subject)
  }

  private static var parent: Literal { "a parent of the register" }

  private static func open(
    _ name: Literal, in directory: borrowing OpenFile, _ subject: Literal
  ) throws(EnrollmentFailure) -> OpenFile {
    let opened: OpenFile
    do throws(Errno) {
      opened = try directory.open(name, for: .traversal)
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
