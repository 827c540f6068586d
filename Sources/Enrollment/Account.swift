internal import CSystem
public import FixedMemory

/// An account of the user database, as far as a login needs it (passwd(5)).
public struct Account {
  /// The login name.
  public private(set) var name = ByteText<256>()

  /// The numeric user id.
  public let userID: UInt32

  /// The numeric id of the primary group.
  public let groupID: UInt32

  /// The home directory as the database has it.
  public private(set) var home = ByteText<1024>()

  /// How looking for an account ended.
  public enum Lookup {
    case found(Account)

    /// The database says that there is no such account.
    case unknown

    /// The database could not be asked, or its answer does not fit: an error number, as in errno(3).
    case failed(Int32)
  }

  /// Looks for an account by its name with getpwnam_r(3).
  public static func named(_ name: borrowing ByteText<256>) -> Lookup {
    // What does not fit is not looked for in a shortened form: that would be another user.
    guard name.count > 0, !name.isTruncated, name.bytes.firstIndex(of: 0) == nil else { return .unknown }
    var name = copy name
    return unsafe lookup { entry, buffer, size, result in
      unsafe name.withCString { unsafe getpwnam_r($0, entry, buffer, size, result) }
    }
  }

  /// Looks for an account by its user id with getpwuid_r(3).
  public static func with(userID: UInt32) -> Lookup {
    unsafe lookup { unsafe getpwuid_r(userID, $0, $1, $2, $3) }
  }

  private static func lookup(
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
      let (status, account) = unsafe memory.withMemory { buffer -> (Int32, Account?) in
        let status = unsafe ask(&entry, buffer.assumingMemoryBound(to: CChar.self), size, &result)
        guard status == 0, let found = unsafe result else { return (status, nil) }
        return unsafe (0, Account(found.pointee))
      }
      if let account { return account.fits ? .found(account) : .failed(ERANGE) }
      switch status {
      case 0, ENOENT, ESRCH, EBADF, EPERM: return .unknown  // getpwnam_r(3): "not found" has many names
      case ERANGE: size &*= 4
      case EINTR: continue
      default: return .failed(status)
      }
    }
    return .failed(ERANGE)
  }

  /// An account that nothing is known of but its name, for trying a template.
  init(name: ByteText<256>) {
    self.name = name
    userID = UInt32.max
    groupID = UInt32.max
  }

  /// An account as somebody who reads the whole database finds it.
  ///
  /// - Parameters:
  ///   - name: The login name.
  ///   - userID: The numeric user id.
  ///   - groupID: The numeric id of the primary group.
  ///   - home: The home directory.
  public init(name: ByteText<256>, userID: UInt32, groupID: UInt32, home: ByteText<1024>) {
    self.name = name
    self.userID = userID
    self.groupID = groupID
    self.home = home
  }

  private init(_ entry: passwd) {
    userID = unsafe entry.pw_uid
    groupID = unsafe entry.pw_gid
    unsafe name.append(cString: entry.pw_name)
    unsafe home.append(cString: entry.pw_dir)
  }

  private var fits: Bool { !name.isTruncated && !home.isTruncated }
}
