/// One thing that `doctor` looked at, and what it thinks of it.
struct Finding: Equatable {
  /// How bad it is.
  enum Status: String {
    case ok
    /// Logins are as safe as they should be, or nearly; but somebody may be surprised.
    case warning
    /// A login goes through that should not, or does not go through that should.
    case failed
    /// It could not be looked at, or there is nothing to look at.
    case skipped
  }

  /// What was looked at, the same for every host: `ssh_use_pam`, `pam_order` …
  let name: String
  let status: Status
  /// What there is and why that matters, in one line.
  let detail: String
  /// What to do; the exact line to change where there is one. Nil where there is nothing to do.
  let remedy: String?

  static func ok(_ name: String, _ detail: String) -> Finding {
    Finding(name: name, status: .ok, detail: detail, remedy: nil)
  }

  static func skipped(_ name: String, _ detail: String) -> Finding {
    Finding(name: name, status: .skipped, detail: detail, remedy: nil)
  }

  static func warning(_ name: String, _ detail: String, remedy: String) -> Finding {
    Finding(name: name, status: .warning, detail: detail, remedy: remedy)
  }

  static func failed(_ name: String, _ detail: String, remedy: String) -> Finding {
    Finding(name: name, status: .failed, detail: detail, remedy: remedy)
  }

  /// The object of `--json`.
  var json: JSONValue {
    .object([
      ("name", .string(name)), ("status", .string(status.rawValue)), ("detail", .string(detail)),
      ("remedy", .optional(remedy)),
    ])
  }

  /// The lines for a person.
  var text: String {
    let margin = String(repeating: " ", count: 9)
    let label = status.rawValue + String(repeating: " ", count: margin.count - status.rawValue.count)
    var text = "\(label)\(name): \(detail.printable)\n"
    if let remedy {
      for line in remedy.split(separator: "\n") { text += "\(margin)  \(String(line).printable)\n" }
    }
    return text
  }
}
