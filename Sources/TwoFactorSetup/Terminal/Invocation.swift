import CSetup

/// The command line, for hints that repeat it.
enum Invocation {
  static var arguments: [String] {
    var arguments: [String] = []
    // SAFETY: the arguments are NUL-terminated and immortal.
    while let argument = unsafe csetup_argument(Int32(arguments.count) + 1) {
      unsafe arguments.append(String(cString: argument))
    }
    return arguments
  }

  /// The command line with options and their values added or replaced.
  static func text(with options: [String]..., of arguments: [String] = arguments) -> String {
    text(with: options, of: arguments)
  }

  static func text(with options: [[String]], of arguments: [String] = arguments) -> String {
    let names = options.compactMap(\.first)
    var kept: [String] = []
    var isValue = false
    for argument in arguments {
      defer { isValue = names.contains(argument) }
      if isValue || names.contains(argument) || names.contains(where: { argument.hasPrefix($0 + "=") }) { continue }
      kept.append(quoted(argument))
    }
    return (["twofactor"] + kept + options.joined().map(quoted)).joined(separator: " ")
  }

  /// A subcommand of `device` for a device. `userOption` is that of the session.
  static func text(ofDeviceCommand subcommand: String, _ name: String, _ userOption: String) -> String {
    "twofactor device \(subcommand)\(userOption) \(name.hasPrefix("-") ? "-- " : "")\(quoted(name))"
  }

  private static func quoted(_ argument: String) -> String {
    // A URI contains a key.
    if argument.lowercased().contains("otpauth") { return "URI" }
    let isPlain =
      !argument.isEmpty
      && argument.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: "-_./=:,@%+".utf8.contains(byte)
        }
      }
    return isPlain
      ? argument
      : "'"
        + argument.split(separator: "'", omittingEmptySubsequences: false)
        .joined(separator: "'\\''") + "'"
  }
}
