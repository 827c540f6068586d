internal import CSystem
public import FixedMemory

/// An account of the user database, as far as a login needs it (passwd(5)).
public struct Account: ~Copyable, Sendable {
  /// The login name.
  public private(set) var name = ByteText()

  /// The numeric user id; that of nobody where nothing is known but the name.
  public private(set) var userID = UInt32.max

  /// The numeric id of the primary group.
  public private(set) var groupID = UInt32.max

  /// The home directory as the database has it.
  public private(set) var home = ByteText()

  /// Whether it was found in the database. The number that stands for an unknown one is no user's (chown(2)).
  public var isKnown: Bool { userID != UInt32.max }

  /// How looking for an account ended.
  public enum Lookup: Equatable {
    case found

    /// The database says that there is no such account.
    case unknown

    /// The database could not be asked, or its answer does not fit: an error number, as in errno(3).
    case failed(Int32)
  }

  /// An account that nothing is known of.
  public init() {}

  /// An account that nothing is known of but its name, for trying a template.
  init(name: consuming ByteText) { self.name = name }

  /// Looks for an account by its name with getpwnam_r(3), and becomes it where there is one.
  public mutating func find(named name: borrowing ByteText) -> Lookup {
    // What does not fit is not looked for in a shortened form: that would be another user.
    guard name.count > 0, !name.isTruncated, name.bytes.firstIndex(of: 0) == nil else { return .unknown }
    return unsafe find { entry, buffer, size, result in
      unsafe name.withCString { unsafe getpwnam_r($0, entry, buffer, size, result) }
    }
  }

  /// Looks for an account by its user id with getpwuid_r(3), and becomes it where there is one.
  public mutating func find(userID: UInt32) -> Lookup {
    unsafe find { unsafe getpwuid_r(userID, $0, $1, $2, $3) }
  }

  private mutating func find(
    _ ask: (
      _ entry: UnsafeMutablePointer<passwd>, _ buffer: UnsafeMutablePointer<CChar>, _ size: Int,
      _ result: UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
    ) -> Int32
  ) -> Lookup {
    var size = 1024
    while size <= 1 << 20 {
      guard let memory = SecretBuffer(capacity: size) else { return .failed(ENOMEM) }
      var entry = unsafe passwd()
      var result: UnsafeMutablePointer<passwd>?
      let status = unsafe memory.withMemory {
        unsafe ask(&entry, $0.assumingMemoryBound(to: CChar.self), size, &result)
      }
      if status == 0, unsafe result != nil {
        // SAFETY: the strings of the entry lie in the memory, which is there still.
        return unsafe become(entry)
      }
      switch status {
      case 0, ENOENT, ESRCH, EBADF, EPERM: return .unknown  // getpwnam_r(3): "not found" has many names
      case ERANGE: size &*= 4
      case EINTR: continue
      default: return .failed(status)
      }
    }
    return .failed(ERANGE)
  }

  /// Takes over an entry of the database. Where it does not fit, nothing is known.
  private mutating func become(_ entry: passwd) -> Lookup {
    name = unsafe ByteText(cString: entry.pw_name)
    home = unsafe ByteText(cString: entry.pw_dir)
    guard !name.isTruncated, !home.isTruncated else { return .failed(ENOMEM) }
    guard name.count <= Self.longestName, home.count <= Self.longestHome else { return .failed(ERANGE) }
    userID = unsafe entry.pw_uid
    groupID = unsafe entry.pw_gid
    return .found
  }

  /// The longest name and the longest home, in bytes.
  private static var longestName: Int { 255 }
  private static var longestHome: Int { 1023 }

  /// An account as somebody who reads the whole database finds it; nil where it does not fit.
  ///
  /// - Parameters:
  ///   - name: The login name, NUL-terminated.
  ///   - userID: The numeric user id.
  ///   - groupID: The numeric id of the primary group.
  ///   - home: The home directory, NUL-terminated.
  public init?(name: UnsafePointer<CChar>?, userID: UInt32, groupID: UInt32, home: UnsafePointer<CChar>?) {
    var entry = unsafe passwd()
    unsafe entry.pw_name = UnsafeMutablePointer(mutating: name)
    unsafe entry.pw_dir = UnsafeMutablePointer(mutating: home)
    unsafe entry.pw_uid = userID
    unsafe entry.pw_gid = groupID
    guard unsafe become(entry) == .found, self.name.count > 0 else { return nil }
  }
}
