enum PAMFacility: String, CaseIterable {
  case auth
  case account
  case password
  case session
}

/// A line that calls a module.
struct PAMRule: Equatable {
  let file: String
  let line: Int
  let facility: PAMFacility
  /// Whether a `-` before the type keeps libpam from logging that the module is missing.
  let isSilent: Bool
  let control: PAMControl
  /// A name or an absolute path.
  let module: String
  var arguments: [String]

  /// Without folder and suffix.
  var name: String {
    var file = module.split(separator: "/").last.map(String.init) ?? module
    if hasCarriageReturn { file.removeLast() }
    return file.hasSuffix(".so") ? String(file.dropLast(3)) : file
  }

  /// Whether the module's name ends with the carriage return of a line of Windows, so that libpam cannot load it.
  var hasCarriageReturn: Bool { module.hasSuffix("\r") }

  var isTwoFactor: Bool { name == "pam_twofactor" }

  var place: String { "\(file), line \(line)" }

  /// The line; with another control value, if given.
  func text(control other: String? = nil) -> String {
    let words = arguments.map { word in
      word.hasPrefix("[") || word.contains { " \t]".contains($0) }
        ? "[\(word.split(separator: "]", omittingEmptySubsequences: false).joined(separator: "\\]"))]" : word
    }
    return ([(isSilent ? "-" : "") + facility.rawValue, other ?? control.text, module] + words).joined(separator: " ")
  }
}
