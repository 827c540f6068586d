internal import CSystem
public import FixedMemory

/// Where the enrolment of an account lies: the template `directory=` of the policy, filled in.
public struct EnrollmentPath {
  /// The usual place.
  public static var usualTemplate: Literal { "~/.twofactor" }

  /// The absolute path, without the home where it lies below it. The longest template and the longest name fit.
  private(set) var below = ByteText<768>()

  /// Whether it lies below the home.
  public let isBelowHome: Bool

  /// Fills in a template: `~` or `%h` at the beginning is the home, `%u` the user's name, `%%` a percent sign.
  ///
  /// - Parameters:
  ///   - template: The template; it begins with `~/`, `%h/` or `/`.
  ///   - account: Whose enrolment it is.
  /// - Throws: A failure of kind `configuration` where the template is not one, or is too long.
  public init(template: Span<UInt8>, account: borrowing Account) throws(EnrollmentFailure) {
    var rest = template
    isBelowHome = template.starts(with: "~/") || template.starts(with: "%h/")
    if isBelowHome {
      rest = template.slice(from: template.starts(with: "~") ? 2 : 3)
    } else if !template.starts(with: "/") {
      throw EnrollmentFailure(.configuration, "directory", "is neither absolute nor below the home")
    }
    // A name with a slash would lead somewhere else, and so would the two that every directory has.
    let isOnePart = account.name.bytes.firstIndex(of: UInt8(ascii: "/")) == nil
    let isName = hasOnlyNames(account.name.bytes) && isOnePart
    var index = 0
    while let byte = rest.byte(at: index) {
      index &+= 1
      guard byte == UInt8(ascii: "%") else {
        below.append(byte)
        continue
      }
      switch rest.byte(at: index) {
      case UInt8(ascii: "%"): below.append(UInt8(ascii: "%"))
      case UInt8(ascii: "u") where isName: below.append(account.name.bytes)
      case UInt8(ascii: "u"):
        throw EnrollmentFailure(.configuration, "directory", "the user's name is not a name of a file")
      default: throw EnrollmentFailure(.configuration, "directory", "has a % that means nothing")
      }
      index &+= 1
    }
    guard !below.isTruncated else { throw EnrollmentFailure(.configuration, "directory", "is too long") }
    guard hasOnlyNames(below.bytes) else {
      throw EnrollmentFailure(.configuration, "directory", "has a part that is empty, . or ..")
    }
  }

  /// Adds the path as a person reads it, the home filled in.
  public func describe<let capacity: Int>(into text: inout ByteText<capacity>, account: borrowing Account) {
    if isBelowHome {
      text.append(account.home.bytes)
      if account.home.bytes.byte(at: account.home.count &- 1) != UInt8(ascii: "/") { text.append(UInt8(ascii: "/")) }
    }
    text.append(below.bytes)
  }

  /// The name of the directory itself: the last part of the path.
  var lastName: ByteText<256> {
    var start = 0
    while let slash = below.bytes.firstIndex(of: UInt8(ascii: "/"), from: start) { start = slash &+ 1 }
    var name = ByteText<256>()
    name.append(below.bytes.slice(from: start))
    return name
  }

  /// Whether a template can be filled in for a user with an ordinary name.
  public static func isTemplate(_ template: Span<UInt8>) -> Bool {
    var name = ByteText<256>()
    name.append("user")
    do throws(EnrollmentFailure) {
      _ = try EnrollmentPath(template: template, account: Account(name: name))
      return true
    } catch {
      return false
    }
  }
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
