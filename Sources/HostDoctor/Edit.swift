/// A change to one line, as a remedy names it. Line numbers refer to the unchanged file.
enum Edit: Equatable {
  case replace(file: String, line: Int, text: String)
  case insertBefore(file: String, line: Int, text: String)
  case insertAfter(file: String, line: Int, text: String)
  case remove(file: String, line: Int, text: String)

  var text: String { lines.joined(separator: "\n") }

  fileprivate var lines: [String] {
    let file = file
    guard file.hasPrefix(Self.vendorFolder) else { return [words(file)] }
    // A package upgrade overwrites a vendor's file, but a file of the same name in /etc overrides it.
    let own = "/etc/pam.d/" + file.dropFirst(Self.vendorFolder.count)
    return ["cp \(file) \(own)", words(own)]
  }

  private static let vendorFolder = "/usr/lib/pam.d/"

  private var file: String {
    switch self {
    case .replace(let file, _, _), .insertBefore(let file, _, _), .insertAfter(let file, _, _), .remove(let file, _, _):
      file
    }
  }

  private func words(_ file: String) -> String {
    switch self {
    case .replace(_, let line, let text): "in \(file), line \(line): \(text)"
    case .insertBefore(_, let line, let text): "in \(file), before line \(line): \(text)"
    case .insertAfter(_, let line, let text): "in \(file), behind line \(line): \(text)"
    case .remove(_, let line, let text): "in \(file), remove line \(line): \(text)"
    }
  }
}

extension [Edit] {
  var text: String {
    flatMap(\.lines).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }.joined(separator: "\n")
  }
}

extension PAMRule {
  func with(control: String) -> Edit { .replace(file: file, line: line, text: text(control: control)) }

  var removal: Edit { .remove(file: file, line: line, text: text()) }
}
