/// One thing that `doctor` looked at, and what it thinks of it.
package struct Finding: Equatable {
  /// How bad it is.
  package enum Status: String {
    case ok
    /// Logins are as safe as they should be, or nearly; but somebody may be surprised.
    case warning
    /// A login goes through that should not, or does not go through that should.
    case failed
    /// It could not be looked at, or there is nothing to look at.
    case skipped
  }

  /// What was looked at, the same for every host: `ssh_use_pam`, `pam_order` …
  package let name: String
  package let status: Status
  /// What there is and why that matters, in one line.
  package let detail: String
  /// What to do; the exact line to change where there is one. Nil where there is nothing to do.
  package let remedy: String?

  package static func ok(_ name: String, _ detail: String) -> Finding {
    Finding(name: name, status: .ok, detail: detail, remedy: nil)
  }

  package static func skipped(_ name: String, _ detail: String) -> Finding {
    Finding(name: name, status: .skipped, detail: detail, remedy: nil)
  }

  package static func warning(_ name: String, _ detail: String, remedy: String) -> Finding {
    Finding(name: name, status: .warning, detail: detail, remedy: remedy)
  }

  package static func failed(_ name: String, _ detail: String, remedy: String) -> Finding {
    Finding(name: name, status: .failed, detail: detail, remedy: remedy)
  }
}
