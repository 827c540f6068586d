internal import CSystem
public import FixedMemory

/// An account of the user database (passwd(5)).
public struct Account: ~Copyable, Sendable {
  /// The login name.
  public private(set) var name = ByteText()

  /// ``UserID/invalid`` if the account was not found.
  public private(set) var userID = UserID.invalid

  /// The primary group.
  public private(set) var groupID = GroupID.invalid

  /// The home directory.
  public private(set) var home = ByteText()

  /// Whether a lookup found the account.
  public var isKnown: Bool { userID != .invalid }

  /// The result of a lookup.
  public enum Lookup: Equatable {
    case found

    /// The database lacks the account.
    case unknown

    /// The database was unreadable, or a field too long.
    case failed(Errno)
  }

  /// In bytes.
  private static var longestName: Int { 255 }
  private static var longestHome: Int { 1023 }

  /// An unknown account.
  public init() {}

  /// An unknown account with a name, for expanding a template.
  package init(name: consuming ByteText) { self.name = name }

  /// Copies the fields of an entry; nil if the name is empty, or a field too long. The strings are NUL-terminated.
  public init?(name: UnsafePointer<CChar>?, userID: UserID, groupID: GroupID, home: UnsafePointer<CChar>?) {
    // SAFETY: the caller's strings are NUL-terminated.
    let result = unsafe set(name: name, userID: userID, groupID: groupID, home: home)
    guard result == .found, self.name.count > 0 else { return nil }
  }

  /// Looks up an account by name (getpwnam_r(3)), and stores it here if found.
  public mutating func find(named name: borrowing ByteText) -> Lookup {
    // A truncated name could be another account's.
    guard name.count > 0, !name.isTruncated, name.bytes.firstIndex(of: 0) == nil else { return .unknown }
    // SAFETY: the name is NUL-terminated; `find` passes valid pointers.
    return unsafe find { entry, buffer, size, result in
      unsafe name.withCString { unsafe getpwnam_r($0, entry, buffer, size, result) }
    }
  }

  /// Looks up an account by user ID (getpwuid_r(3)), and stores it here if found.
  public mutating func find(userID: UserID) -> Lookup {
    // SAFETY: `find` passes valid pointers.
    unsafe find { unsafe getpwuid_r(userID.rawValue, $0, $1, $2, $3) }
  }

  private mutating func find(
    _ look: (
      _ entry: UnsafeMutablePointer<passwd>, _ buffer: UnsafeMutablePointer<CChar>, _ size: Int,
      _ result: UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
    ) -> Int32
  ) -> Lookup {
    var size = 1024
    while size <= 1 << 20 {
      guard let memory = SecretBuffer(capacity: size) else { return .failed(.outOfMemory) }
      // SAFETY: the lookup gets the size of the memory, which outlives the copies of the entry's strings.
      var entry = unsafe passwd()
      var result: UnsafeMutablePointer<passwd>?
      let status = unsafe memory.withMemory {
        unsafe look(&entry, $0.assumingMemoryBound(to: CChar.self), size, &result)
      }
      if status == 0, unsafe result != nil {
        return unsafe set(
          name: entry.pw_name, userID: UserID(rawValue: entry.pw_uid), groupID: GroupID(rawValue: entry.pw_gid),
          home: entry.pw_dir)
      }
      switch status {
      case 0, ENOENT, ESRCH, EBADF, EPERM: return .unknown  // all of them mean "not found" (getpwnam_r(3))
      case ERANGE: size &*= 4
      case EINTR: continue
      default: return .failed(Errno(rawValue: status))
      }
    }
    return .failed(.outOfRange)
  }

  private mutating func set(
    name: UnsafePointer<CChar>?, userID: UserID, groupID: GroupID, home: UnsafePointer<CChar>?
  ) -> Lookup {
    // SAFETY: the callers' strings are NUL-terminated.
    self.name = unsafe ByteText(cString: name)
    self.home = unsafe ByteText(cString: home)
    guard !self.name.isTruncated, !self.home.isTruncated else { return .failed(.outOfMemory) }
    guard self.name.count <= Self.longestName, self.home.count <= Self.longestHome else {
      return .failed(.outOfRange)
    }
    self.userID = userID
    self.groupID = groupID
    return .found
  }
}

/// A numeric user ID (credentials(7)).
public struct UserID: RawRepresentable, Equatable, BitwiseCopyable, Sendable {
  /// The number.
  public let rawValue: UInt32

  /// The user ID with this number.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// UID 0.
  public static var root: UserID { UserID(rawValue: 0) }

  /// No account has it (chown(2)).
  public static var invalid: UserID { UserID(rawValue: UInt32.max) }

  /// The effective user ID of the process.
  public static var effective: UserID { UserID(rawValue: geteuid()) }
}

/// A numeric group ID (credentials(7)).
public struct GroupID: RawRepresentable, Equatable, BitwiseCopyable, Sendable {
  /// The number.
  public let rawValue: UInt32

  /// The group ID with this number.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// No group has it (chown(2)).
  public static var invalid: GroupID { GroupID(rawValue: UInt32.max) }
}
