/// The groups of a host whose name services are its files.
struct LocalGroups {
  /// Nil if another name service may add members.
  private let members: [String: Bool]?

  init(tree: HostTree) {
    let sources = NameSources(tree: tree).sources(of: ["group", "initgroups", "passwd"])
    guard tree.exists("/etc/group"), sources.allSatisfy({ NameSources.local.contains($0.name) }) else {
      members = nil
      return
    }
    let primary = Set(
      tree.lines(of: "/etc/passwd").compactMap { line in
        let fields = line.split(separator: ":", omittingEmptySubsequences: false)
        return fields.count > 3 ? fields[3] : nil
      })
    var members: [String: Bool] = [:]
    for line in tree.lines(of: "/etc/group") {
      let fields = line.split(separator: ":", omittingEmptySubsequences: false)
      guard fields.count > 3 else { continue }
      members[String(fields[0])] = !fields[3].isEmpty || primary.contains(fields[2])
    }
    self.members = members
  }

  /// Whether the group is known to have no members.
  func isEmpty(_ name: String) -> Bool { members.map { !($0[name] ?? false) } ?? false }
}
