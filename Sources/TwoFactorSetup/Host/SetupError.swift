/// Why a subcommand ends without having done what it was asked to do.
///
/// What is *not* an error: an account that is not enrolled, when only its status is asked for.
public struct SetupError: Error, Equatable {
  /// How the command ends.
  public let status: ExitStatus
  /// What went wrong: lower case, no full stop.
  public let message: String
  /// What to do about it, or nil where there is nothing to do.
  public let hint: String?

  /// An error with what to do about it.
  public init(_ status: ExitStatus, _ message: String, hint: String? = nil) {
    self.status = status
    self.message = message
    self.hint = hint
  }

  /// The lines for a person at standard error.
  public var text: String {
    var text = "twofactor: \(message.printable)\n"
    if let hint { text += "hint: \(hint.printable)\n" }
    return text
  }

  /// The object for a program at standard error.
  public var json: JSONValue {
    .object([("error", .string(message)), ("hint", hint.map(JSONValue.string) ?? .null)])
  }
}

/// A signal asked the command to stop. It unwinds, undoes what it began, and then dies of that signal, so
/// that the caller sees what happened.
struct Interruption: Error {
  let signal: Int32
}
