package struct Finding: Equatable {
  package enum Status: String {
    case ok
    /// Something may surprise a user or help an attacker.
    case warning
    /// A login wrongly succeeds or fails.
    case failed
    /// Not checked, or nothing to check.
    case skipped
  }

  /// The same name on every host: `ssh_use_pam`, `pam_order` …
  package let name: String
  package let status: Status
  package let detail: String
  /// Lines to change, or a command.
  package let remedy: String?

  package init(name: String, status: Status, detail: String, remedy: String?) {
    self.name = name
    self.status = status
    self.detail = detail
    self.remedy = remedy
  }

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
