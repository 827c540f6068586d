import Foundation

/// Prints a page with its tables of options written anew from the code; see `scripts/option-tables`.
///
/// A block stands between the lines `<!-- NAME: begin -->` and `<!-- NAME: end -->`, or in a manual page `.\" NAME: begin`
/// and `.\" NAME: end`. The sample of `twofactor.conf` is generated as a whole.
@main enum OptionTables {
  static func main() {
    guard CommandLine.arguments.count == 2 else { fail("usage: OptionTables PAGE", status: 64) }
    let path = CommandLine.arguments[1]
    let page = URL(filePath: path).lastPathComponent
    if page == "twofactor.conf" {
      print(OptionPages.sample, terminator: "")
      return
    }
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { fail("\(path) cannot be read") }
    var lines: [String] = []
    var open: String?
    var blocks = 0
    for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
      if let name = open {
        guard marker(line, "end") == name else { continue }
        open = nil
      } else if let name = marker(line, "begin") {
        guard let generated = OptionPages.lines(of: name, in: page) else { fail("\(path): unknown block: \(name)") }
        lines += [line] + generated
        open = name
        blocks += 1
        continue
      }
      lines.append(line)
    }
    if let open { fail("\(path): no end of the block: \(open)") }
    if blocks == 0 { fail("\(path): no block to generate") }
    print(lines.joined(separator: "\n"), terminator: "")
  }

  /// The name in a line that marks the beginning or end of a block.
  private static func marker(_ line: String, _ word: String) -> String? {
    for (prefix, suffix) in [("<!-- ", ": \(word) -->"), (".\\\" ", ": \(word)")]
    where line.hasPrefix(prefix) && line.hasSuffix(suffix) {
      return String(line.dropFirst(prefix.count).dropLast(suffix.count))
    }
    return nil
  }

  private static func fail(_ message: String, status: Int32 = 1) -> Never {
    FileHandle.standardError.write(Data("option-tables: \(message)\n".utf8))
    exit(status)
  }
}
