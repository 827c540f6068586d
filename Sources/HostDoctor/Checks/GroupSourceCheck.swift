import HostAccess

/// Warns if a remote name service decides who is asked for a code (nsswitch.conf(5)).
struct GroupSourceCheck {
  let tree: HostTree
  let rules: [PAMRule]

  var findings: [Finding] {
    let sources = NameSources(tree: tree).sources(of: ["group", "initgroups"])
    guard let source = sources.first(where: { !NameSources.local.contains($0.name) }) else { return [] }
    let options = rules.compactMap { rule in tree.options(of: rule).map { (rule, $0) } }
    let exempt = options.first { !$0.1.exemptGroups.isEmpty }
    let only = options.first { !$0.1.onlyGroups.isEmpty }
    return [
      exempt.map { rule, options in
        finding(
          "exempt_groups", options.exemptGroups, rule, source, "a member whom it does not report is asked for a code")
      },
      only.map { rule, options in
        finding(
          "only_groups", options.onlyGroups, rule, source,
          "a member whom it does not report passes without a code unless enrolled")
      },
    ].compactMap { $0 }
  }

  private func finding(
    _ option: String, _ groups: [String], _ rule: PAMRule, _ source: (name: String, line: Int), _ effect: String
  ) -> Finding {
    let first = groups.first.map { $0.contains(" ") ? "'\($0)'" : $0 } ?? ""
    var remedy = "compare: getent group \(first) && id USER"
    if source.name == "sss" {
      remedy += "\nif the group has no members there: ignore_group_members = false, in /etc/sssd/sssd.conf"
    }
    return .warning(
      "group_sources",
      "\(rule.place): \(option) depends on the groups that \(source.name) reports (\(NameSources.path), line \(source.line)): "
        + effect, remedy: remedy)
  }
}

/// The sources of databases (nsswitch.conf(5)).
package struct NameSources {
  let tree: HostTree

  package init(tree: HostTree) { self.tree = tree }

  static let path = "/etc/nsswitch.conf"

  static let local: Set<String> = ["files", "systemd", "compat"]

  /// The sources of these databases, each with its line.
  func sources(of databases: Set<String>) -> [(name: String, line: Int)] {
    let lines = HostTree.lines(tree.text(of: Self.path) ?? "")
    return lines.enumerated().flatMap { index, line -> [(name: String, line: Int)] in
      let parts = line.prefix { $0 != "#" }.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, databases.contains(parts[0].filter { $0 != " " && $0 != "\t" }) else { return [] }
      return Self.names(in: parts[1]).map { ($0, index + 1) }
    }
  }

  /// The sources of accounts, other than local files, none of whose accounts is among `names`. They answer lookups, but do
  /// not enumerate.
  package func silentSources(among names: [String]) -> [String] {
    let sources = sources(of: ["passwd"]).map(\.name).filter { !Self.local.contains($0) }
    guard !sources.isEmpty else { return [] }
    let local = Set(tree.lines(of: "/etc/passwd").map { String($0.prefix { $0 != ":" }) })
    return names.allSatisfy(local.contains) ? sources : []
  }

  /// Omits actions such as `[NOTFOUND=return]`.
  private static func names(in text: Substring) -> [String] {
    var isAction = false
    let names = text.map { character -> Character in
      if character == "[" { isAction = true }
      defer { if character == "]" { isAction = false } }
      return isAction || character == "\t" ? " " : character
    }
    return String(names).split(separator: " ").map(String.init)
  }
}
