import HostAccess

/// Rejects arguments that contain keys, which ps(1) and the shell's history show, and removes keys and codes from
/// messages about arguments.
enum KeyArgument {
  private static let hint =
    "delete the line from the shell's history; then type the key when asked, or name a file that contains it: "
    + "twofactor import FILE"

  /// Subcommands that only other programs call.
  private static let internalSubcommands = ["login-enrollment", "---completion"]

  private static let marks = ["otpauth:", "otpauth-migration:", "otpauth%3a", "steam://", "motp://", "secret="]

  static func reject(_ arguments: [String]) throws {
    guard let first = arguments.first, !internalSubcommands.contains(first) else { return }
    let isKey = arguments.contains { argument in marks.contains { argument.lowercased().contains($0) } }
    guard isKey else { return }
    throw SetupError(.usage, "an argument contains a key, which the shell's history now holds", hint: hint)
  }

  /// Replaces keys in a message about the arguments, and also codes if `hidesCodes`.
  static func masking(_ error: SetupError, _ arguments: [String], hidesCodes: Bool = false) -> SetupError {
    let hidden = arguments.flatMap(values).filter { resemblesKey($0) || (hidesCodes && resemblesCode($0)) }
    let message = hidden.reduce(error.message) { $0.replacing($1.printable, with: "…") }
    guard message != error.message else { return error }
    return SetupError(error.status, message, hint: "keys and codes are typed when asked, never as arguments: \(hint)")
  }

  /// The argument, without the name of an option.
  private static func values(_ argument: String) -> [String] {
    guard argument.hasPrefix("-") else { return [argument] }
    if let sign = argument.firstIndex(of: "=") { return [String(argument[sign...].dropFirst())] }
    return argument.hasPrefix("--") ? [] : [String(argument.dropFirst(2))]
  }

  /// Whether a word may be a key: at least 80 bits in Base32 or hexadecimal, with a digit.
  private static func resemblesKey(_ word: String) -> Bool {
    let compact = word.filter { $0 != " " && $0 != "-" && $0 != "=" }
    guard compact.contains(where: \.isNumber) else { return false }
    return compact.utf8.count >= 16 && compact.allSatisfy(\.isBase32)
      || compact.utf8.count >= 20 && compact.allSatisfy(\.isHexDigit)
  }

  /// Whether a word may be the code of a device, or a backup code.
  private static func resemblesCode(_ word: String) -> Bool {
    let compact = word.filter { $0 != " " && $0 != "-" }
    let digits = compact.filter(\.isNumber).count
    return (6...8).contains(compact.count) && digits == compact.count || compact.count == 10 && digits > 0
  }

  /// Whether the name of a device resembles a key: Base32 in capitals, or in groups of four, as apps show it.
  static func isKey(_ name: String) -> Bool {
    let groups = name.split { $0 == " " || $0 == "-" }
    return resemblesKey(name) && name.allSatisfy { $0.isBase32 || !$0.isLetter }
      && (name == name.uppercased() || groups.count >= 4 && groups.allSatisfy { $0.count == 4 })
  }
}

extension Character {
  fileprivate var isBase32: Bool { isASCII && (isLetter || ("2"..."7").contains(self)) }
}
