import ArgumentParser

/// The subcommand that was probably meant by a word that names none.
enum SubcommandHint {
  /// Words of other programs, and words of this one without the subcommand that precedes them.
  private static let synonyms: [(words: [String], subcommand: String)] = [
    (["on", "setup", "init", "create", "enroll", "enrol", "register", "start", "activate"], "enable"),
    (["off", "deactivate", "unenroll", "erase"], "disable"),
    (["list", "ls"], "device list"),
    (["add", "new"], "device add NAME"),
    (["remove", "rm", "delete", "del"], "device remove NAME"),
    (["resync", "sync"], "device resync NAME"),
    (["codes", "backup", "recovery-codes", "scratch-codes"], "backup-codes"),
    (["qr", "qrcode", "key", "secret", "export"], "show"),
    (["check", "validate", "code"], "verify"),
    (["info"], "status"),
    (["reset"], "unlock --user NAME, or twofactor disable"),
    (["migrate", "restore"], "import FILE"),
    (["lint", "audit", "diagnose"], "doctor"),
    (["login"], "test --service NAME"),
  ]

  /// The first word that should name a subcommand but does not, and the command line that was probably meant. Nil if
  /// all words name one.
  static func unknown(in arguments: [String]) -> (word: String, meant: String?)? {
    var parent: any ParsableCommand.Type = SetupCommand.self
    var path = "twofactor"
    var words = arguments.prefix { !$0.hasPrefix("-") }
    guard words.first != "help" else { return nil }
    while let word = words.popFirst() {
      let children = children(of: parent)
      guard !children.isEmpty else { return nil }
      if let child = children[word] {
        parent = child
        path += " \(word)"
        continue
      }
      if let synonym = synonyms.first(where: { $0.words.contains(word) }) {
        return (word, "twofactor \(synonym.subcommand)")
      }
      if let near = nearest(word, children) {
        let next = words.first.flatMap { nearest($0, self.children(of: children[near] ?? parent)) }
        return (word, "\(path) \(near)" + (next.map { " \($0)" } ?? ""))
      }
      return (word, nearest(word, self.children(of: SetupCommand.self)).map { "twofactor \($0)" })
    }
    return nil
  }

  /// The visible subcommands by name.
  private static func children(of command: any ParsableCommand.Type) -> [String: any ParsableCommand.Type] {
    var children: [String: any ParsableCommand.Type] = [:]
    for child in command.configuration.subcommands where child.configuration.shouldDisplay {
      children[child._commandName] = child
    }
    return children
  }

  /// The name with at most two changed letters, or with this beginning.
  private static func nearest(_ word: String, _ commands: [String: any ParsableCommand.Type]) -> String? {
    let names = commands.keys.sorted()
    let near = names.map { (name: $0, distance: distance(word, $0)) }.min { $0.distance < $1.distance }
    if let near, near.distance <= min(2, word.count / 2) { return near.name }
    return word.count > 2 ? names.first { $0.hasPrefix(word) } : nil
  }

  /// Letters to insert, delete or replace (Levenshtein).
  private static func distance(_ word: String, _ name: String) -> Int {
    var row = Array(0...name.count)
    for (line, letter) in word.enumerated() {
      var diagonal = row[0]
      row[0] = line + 1
      for (column, other) in name.enumerated() {
        let replaced = diagonal + (letter == other ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
      }
    }
    return row[name.count]
  }
}
