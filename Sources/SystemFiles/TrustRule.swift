public import FixedMemory

/// The required type, owner and mode of a file whose content is trusted.
///
/// Check an open descriptor: a path can be exchanged between check and use.
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

  /// A file with one hard link that only its owner can read and write.
  public static func privateFile(of owner: UserID) -> TrustRule {
    var rule = TrustRule(isDirectory: false, owner: owner, forbiddenMode: 0o077)
    rule.allowsHardLinks = false
    return rule
  }

  /// A file that only its owner can write. Its owner is `owner` or `other`.
  public static func file(of owner: UserID, or other: UserID? = nil, allowsHardLinks: Bool = true) -> TrustRule {
    var rule = TrustRule(isDirectory: false, owner: owner, otherOwner: other, forbiddenMode: 0o022)
    rule.allowsHardLinks = allowsHardLinks
    return rule
  }

  /// A directory of `owner` or root whose entries other accounts cannot rename or remove. With `allowsSticky`, root's
  /// may be writable by others if it is sticky, as /tmp.
  public static func directory(of owner: UserID, allowsSticky: Bool) -> TrustRule {
    var rule = TrustRule(isDirectory: true, owner: owner, otherOwner: .root, forbiddenMode: 0o022)
    rule.allowsSticky = allowsSticky
    return rule
  }

  /// A directory of root that only root and a group can write.
  public static var rootDirectory: TrustRule { TrustRule(isDirectory: true, owner: .root, forbiddenMode: 0o002) }

  /// Whether a program is a file of root that only root can write. Follows symlinks.
  public static func isProgramOfRoot(_ path: Literal) -> Bool {
    do throws(Errno) {
      // SAFETY: a literal is NUL-terminated.
      let status = try unsafe FileStatus(of: path.cString, followsSymlink: true)
      return file(of: .root).violation(of: status) == nil
    } catch {
      return false
    }
  }

  /// What breaks the rule.
  public enum Violation: Sendable {
    case notRegularFile
    case notDirectory
    case foreignOwner
    case hardLinked
    case writableByOthers
    case accessibleByOthers

    /// The violation as a predicate of the file.
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

  /// The first violation; nil if there is none.
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
