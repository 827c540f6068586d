/// A numeric user ID (credentials(7)).
public struct UserID: RawRepresentable, Equatable, BitwiseCopyable, Sendable {
  /// The number.
  public let rawValue: UInt32

  /// The user ID with this number.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// UID 0.
  public static var root: UserID { UserID(rawValue: 0) }

  /// The number that no account has (chown(2)).
  public static var invalid: UserID { UserID(rawValue: UInt32.max) }
}

/// A numeric group ID (credentials(7)).
public struct GroupID: RawRepresentable, Equatable, BitwiseCopyable, Sendable {
  /// The number.
  public let rawValue: UInt32

  /// The group ID with this number.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The number that no group has (chown(2)).
  public static var invalid: GroupID { GroupID(rawValue: UInt32.max) }
}
