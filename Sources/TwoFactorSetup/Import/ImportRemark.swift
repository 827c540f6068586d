/// What somebody ought to know of a text that was imported: that something is said elsewhere here, or not at all.
struct ImportRemark: Equatable {
  /// A sentence without a full stop.
  let text: String
  /// The line of `twofactor.conf` that does the same; nil where there is none.
  var setting: String?
  /// What there is to say of that line; nil for nothing.
  var note: String?

  /// The remark in one line.
  var line: String {
    guard let setting else { return text }
    return "\(text): \(setting)" + (note.map { " (\($0))" } ?? "")
  }

  /// The remark for a page that is as wide as most are, the setting in a line of its own.
  var lines: [String] {
    var lines = PageText.wrapped(text + (setting == nil ? "." : ":"), columns: 76)
    if let setting { lines.append("  " + setting + (note.map { "  (\($0))" } ?? "")) }
    return lines.map { "  " + $0 }
  }
}
