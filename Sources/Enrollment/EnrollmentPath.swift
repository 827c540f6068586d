public import FixedMemory
public import SystemFiles

/// Where the enrolment of an account lies: the template `directory=` of the policy, filled in.
public struct EnrollmentPath: ~Copyable {
  /// The usual place.
  public static var usualTemplate: Literal { "~/.twofactor" }

  /// The absolute path, without the home where it lies below it. The longest template and the longest name fit.
  let below: ByteText

  /// Whether it lies below the home.
  public let isBelowHome: Bool

  /// Fills in a template: `~` or `%h` at the beginning is the home, `%u` the user's name, `%%` a percent sign.
  ///
  /// - Parameters:
  ///   - template: The template; it begins with `~/`, `%h/` or `/`.
  ///   - account: Whose enrolment it is.
  /// - Throws: A failure of kind `configuration` where the template is not one, or is too long; `io` where there is no
  ///   memory.
  public init(template: Span<UInt8>, account: borrowing Account) throws(EnrollmentFailure) {
    let isBelowHome = template.starts(with: "~/") || template.starts(with: "%h/")
    if !isBelowHome, !template.starts(with: "/") {
      throw EnrollmentFailure(.configuration, "directory", "is neither absolute nor below the home")
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
      case UInt8(ascii: "u"):
        guard isNameOfFile(account.name) else {
          throw EnrollmentFailure(.configuration, "directory", "the user's name is not a name of a file")
        }
        path.append(account.name)
      default: throw EnrollmentFailure(.configuration, "directory", "has a % that means nothing")
      }
    }
    guard path.hasMemory else { throw EnrollmentFailure(.io, "directory", "out of memory") }
    guard !path.isTruncated else { throw EnrollmentFailure(.configuration, "directory", "is too long") }
    guard hasOnlyNames(path.bytes) else {
      throw EnrollmentFailure(.configuration, "directory", "has a part that is empty, . or ..")
    }
    below = path
    self.isBelowHome = isBelowHome
  }

  /// The longest template and the longest name fit.
  private static var longest: Int { 768 }

  /// Adds the path as a person reads it, the home filled in.
  public func describe(into text: inout ByteText, account: borrowing Account) {
    if isBelowHome {
      text.append(account.home.bytes)
      if account.home.bytes.byte(at: account.home.count &- 1) != UInt8(ascii: "/") { text.append(UInt8(ascii: "/")) }
    }
    text.append(below.bytes)
  }

  /// The name of the directory itself: the last part of the path.
  var lastName: ByteText {
    var start = 0
    while let slash = below.bytes.firstIndex(of: UInt8(ascii: "/"), from: start) { start = slash &+ 1 }
    var name = ByteText(capacity: 255)
    name.append(below.bytes.slice(from: start))
    return name
  }

  /// Whether a template can be filled in for a user with an ordinary name.
  ///
  /// - Throws: A failure of kind `io` where there is no memory to try.
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

/// Whether a user's name can be that of a file: one with a slash would lead somewhere else, and so would the two that
/// every directory has.
@inline(never)
private func isNameOfFile(_ name: borrowing ByteText) -> Bool {
  let isOnePart = name.bytes.firstIndex(of: UInt8(ascii: "/")) == nil
  return hasOnlyNames(name.bytes) && isOnePart
}

/// Whether every part between slashes is the name of a file.
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
