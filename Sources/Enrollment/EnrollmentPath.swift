public import FixedMemory
public import SystemFiles

/// The path of an account's enrollment: the option `directory` after expansion.
public struct EnrollmentPath: ~Copyable {
  /// The default.
  public static var usualTemplate: Literal { "~/.twofactor" }

  /// The host store. Users cannot search the parent, so their programs cannot read their enrollments.
  public static var hostTemplate: Literal { "/var/lib/twofactor/users/%U" }

  /// Relative to the home directory, or absolute.
  let below: ByteText

  /// Whether ``below`` is relative to the home directory.
  public let isBelowHome: Bool

  /// Whether this is the ``hostTemplate``.
  public let isInHostStore: Bool

  /// Whether other hosts use the files, too, so that their locks must reach these hosts.
  let isShared: Bool

  /// Expands `~` or `%h` at the start to the home directory, `%u` to the user name, `%U` to the user ID, `%%` to a
  /// percent sign. Any other template must start with `/`.
  public init(
    template: Span<UInt8>, account: borrowing Account, isShared: Bool = false
  ) throws(EnrollmentFailure) {
    self.isShared = isShared
    let isBelowHome = template.starts(with: "~/") || template.starts(with: "%h/")
    if !isBelowHome, !template.starts(with: "/") {
      throw EnrollmentFailure(.configuration, "directory", "is neither absolute nor below the home directory")
    }
    var path = ByteText(capacity: Self.longest)
    let rest = template.slice(from: isBelowHome ? (template.starts(with: "~") ? 2 : 3) : 0)
    var index = 0
    while index < rest.count {
      let percent = rest.firstIndex(of: UInt8(ascii: "%"), from: index) ?? rest.count
      path.append(rest.slice(from: index, to: percent))
      index = percent &+ 2
      guard percent < rest.count else { break }
      switch rest.byte(at: percent &+ 1) {
      case UInt8(ascii: "%"): path.append(UInt8(ascii: "%"))
      case UInt8(ascii: "U"): path.append(decimal: UInt64(account.userID.rawValue))
      case UInt8(ascii: "u"):
        guard isNameOfFile(account.name) else {
          throw EnrollmentFailure(.configuration, "directory", "the user name is not a valid file name")
        }
        path.append(account.name)
      default: throw EnrollmentFailure(.configuration, "directory", "has an unknown % escape")
      }
    }
    guard path.hasMemory else { throw EnrollmentFailure(.io, "directory", "out of memory") }
    guard !path.isTruncated else { throw EnrollmentFailure(.configuration, "directory", "is too long") }
    guard hasOnlyNames(path.bytes) else {
      throw EnrollmentFailure(.configuration, "directory", "has an empty, . or .. component")
    }
    below = path
    self.isBelowHome = isBelowHome
    isInHostStore = template.isEqual(to: Self.hostTemplate)
  }

  /// In bytes, for the longest template and the longest name.
  private static var longest: Int { 768 }

  /// The path with a suffix after its last name, in the same place.
  package init(_ path: borrowing EnrollmentPath, suffix: Literal) throws(EnrollmentFailure) {
    var below = ByteText(capacity: path.below.count &+ suffix.byteCount)
    below.append(path.below)
    below.append(suffix)
    guard !below.isTruncated else { throw EnrollmentFailure(.io, "directory", "out of memory") }
    self.below = below
    isBelowHome = path.isBelowHome
    isInHostStore = path.isInHostStore
    isShared = path.isShared
  }

  /// Appends the absolute path.
  public func describe(into text: inout ByteText, account: borrowing Account) {
    if isBelowHome {
      text.append(account.home.bytes)
      if account.home.bytes.byte(at: account.home.count &- 1) != UInt8(ascii: "/") { text.append(UInt8(ascii: "/")) }
    }
    text.append(below.bytes)
  }

  var lastName: ByteText {
    var start = 0
    while let slash = below.bytes.firstIndex(of: UInt8(ascii: "/"), from: start) { start = slash &+ 1 }
    var name = ByteText(capacity: 255)
    name.append(below.bytes.slice(from: start))
    return name
  }

  /// Whether the template can be expanded for an ordinary user name.
  public static func isTemplate(_ template: Span<UInt8>) throws(EnrollmentFailure) -> Bool {
    let name = ByteText("user")
    guard name.hasMemory else { throw EnrollmentFailure(.io, "directory", "out of memory") }
    do throws(EnrollmentFailure) {
      _ = try EnrollmentPath(template: template, account: Account(name: name))
      return true
    } catch {
      guard error.reason != .io else { throw error }
      return false
    }
  }
}

/// Whether a user name is a valid file name. A slash, `.` or `..` would lead elsewhere.
@inline(never)
private func isNameOfFile(_ name: borrowing ByteText) -> Bool {
  let isOnePart = name.bytes.firstIndex(of: UInt8(ascii: "/")) == nil
  return hasOnlyNames(name.bytes) && isOnePart
}

private func hasOnlyNames(_ path: Span<UInt8>) -> Bool {
  var start = path.starts(with: "/") ? 1 : 0
  while start <= path.count {
    let end = path.firstIndex(of: UInt8(ascii: "/"), from: start) ?? path.count
    let name = path.slice(from: start, to: end)
    if name.isEmpty || name.isEqual(to: ".") || name.isEqual(to: "..") || name.firstIndex(of: 0) != nil {
      return false
    }
    start = end &+ 1
  }
  return true
}
