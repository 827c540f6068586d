public import FixedMemory

/// The type, owner and mode that an open file must have before its content is trusted.
///
/// Check the status of the open descriptor: a path can be exchanged between check and use.
public struct TrustRule: Sendable {
  private let isDirectory: Bool

  private let owner: UserID
  private let otherOwner: UserID

  private let forbiddenMode: UInt32

  private var allowsSticky = false

  private var allowsHardLinks = true

  private init(isDirectory: Bool, owner: UserID, otherOwner: UserID? = nil, forbiddenMode: UInt32) {
    self.isDirectory = isDirectory
    self.owner = owner
    self.otherOwner = otherOwner ?? owner
    self.forbiddenMode = forbiddenMode
  }

  /// A file that its owner alone can read and write, with one hard link.
  public static func privateFile(of owner: UserID) -> TrustRule {
    var rule = TrustRule(isDirectory: false, owner: owner, forbiddenMode: 0o077)
    rule.allowsHardLinks = false
    return rule
  }

  /// A file that its owner, one of two accounts, alone can write.
  public static func file(of owner: UserID, or other: UserID? = nil, allowsHardLinks: Bool = true) -> TrustRule {
    var rule = TrustRule(isDirectory: false, owner: owner, otherOwner: other, forbiddenMode: 0o022)
    rule.allowsHardLinks = allowsHardLinks
    return rule
  }

  /// A directory of an account or of root, the entries of which other accounts cannot rename or remove. Root's may be
  /// writable by others if it is sticky, as /tmp is, and `allowsSticky` is set.
  public static func directory(of owner: UserID, allowsSticky: Bool) -> TrustRule {
    var rule = TrustRule(isDirectory: true, owner: owner, otherOwner: .root, forbiddenMode: 0o022)
    rule.allowsSticky = allowsSticky
    return rule
  }

  /// A directory of root that other users cannot write; a group may.
  public static var rootDirectory: TrustRule { TrustRule(isDirectory: true, owner: .root, forbiddenMode: 0o002) }

  /// A broken rule.
  public enum Violation: Sendable {
    case notRegularFile
    case notDirectory
    case foreignOwner
    case hardLinked
    case writableByOthers
    case accessibleByOthers

    /// The violation as a predicate of the file, for the log and the terminal.
    public var text: Literal {
      switch self {
      case .notRegularFile: "is not a regular file"
      case .notDirectory: "is not a directory"
      case .foreignOwner: "is owned by another user"
      case .hardLinked: "has more than one hard link"
      case .writableByOthers: "is writable by others"
      case .accessibleByOthers: "is accessible by others"
      }
    }
  }

  /// The first violation; nil if the file obeys the rule.
  public func violation(of status: FileStatus) -> Violation? {
    guard isDirectory ? status.isDirectory : status.isRegularFile else {
      return isDirectory ? .notDirectory : .notRegularFile
    }
    guard status.owner == owner || status.owner == otherOwner else { return .foreignOwner }
    guard allowsHardLinks || status.links < 2 else { return .hardLinked }
    guard status.mode & forbiddenMode != 0 else { return nil }
    if allowsSticky, status.isSticky, status.owner == .root { return nil }
    return forbiddenMode == 0o077 ? .accessibleByOthers : .writableByOthers
  }
}
