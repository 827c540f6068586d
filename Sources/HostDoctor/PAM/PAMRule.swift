/// One line of a PAM configuration that names a module.
struct PAMRule: Equatable {
  /// The file, as a path of the host.
  let file: String
  /// The line in it, counted from 1.
  let line: Int
  /// `auth`, `account`, `password` or `session`.
  let facility: String
  let control: PAMControl
  /// The module as it is written: a name, or an absolute path.
  let module: String
  let arguments: [String]

  /// The name of the module without its folder and its ending.
  var name: String {
    let file = module.split(separator: "/").last.map(String.init) ?? module
    return file.hasSuffix(".so") ? String(file.dropLast(3)) : file
  }

  var isTwoFactor: Bool { name == "pam_twofactor" }

  /// Where it stands, for a person.
  var place: String { "\(file), line \(line)" }

  /// The line with another control field.
  func text(control other: String? = nil) -> String {
    let words = arguments.map { $0.contains { " \t]".contains($0) } ? "[\($0)]" : $0 }
    return ([facility, other ?? control.text, module] + words).joined(separator: " ")
  }
}
