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

  /// The command line with an option and its value added or replaced.
  static func text(with option: [String] = [], of arguments: [String] = arguments) -> String {
    var kept: [String] = []
    var isValue = false
    for argument in arguments {
      defer { isValue = argument == option.first }
      if isValue || argument == option.first { continue }
      if let name = option.first, argument.hasPrefix(name + "=") { continue }
      kept.append(quoted(argument))
    }
    return (["twofactor"] + kept + option.map(quoted)).joined(separator: " ")
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
