import HostAccess
import SystemFiles

/// Finds enrollments outside the homes that no account has, as after `usermod --login`, or with `%U` `userdel`.
package struct OrphanCheck {
  let tree: HostTree
  /// The option `directory`.
  let template: String

  package init(tree: HostTree, template: String) {
    self.tree = tree
    self.template = template
  }

  /// Covers the host store, too, which overrides the configured place. See ``finding(missing:isAccount:isUserID:)``.
  package static func findings(
    in tree: HostTree, _ settings: HostSettings, missing: [String], isAccount: (String) -> Bool,
    isUserID: (UserID) -> Bool
  ) -> [Finding] {
    let templates = [settings.directoryTemplate] + (settings.isHostStore ? [] : [HostStoreCheck.template])
    return templates.compactMap { template in
      OrphanCheck(tree: tree, template: template).finding(missing: missing, isAccount: isAccount, isUserID: isUserID)
    }
  }

  private static let shownNames = 5
  private static let maximumEntries = 10_000

  /// `missing` are registered accounts whose enrollment does not exist.
  package func finding(
    missing: [String], isAccount: (String) -> Bool, isUserID: (UserID) -> Bool
  ) -> Finding? {
    let isByUserID = parts?.isByUserID == true
    let orphans = orphans { name in
      guard isByUserID else { return isAccount(name) }
      // Any other name is no enrollment.
      guard let number = UInt32(name), "\(number)" == name else { return true }
      return isUserID(UserID(rawValue: number))
    }
    guard let first = orphans.first else { return nil }
    let names = orphans.map(\.name)
    let shown = names.prefix(Self.shownNames).joined(separator: ", ") + (names.count > Self.shownNames ? ", …" : "")
    if isByUserID {
      return .warning(
        "enrollment",
        "\(first.path) is an enrollment of the user ID \(shown), which no account has: an account that gets it later is "
          + "asked for the codes of the earlier user", remedy: "rm -r \(first.path)")
    }
    let target = missing.count == 1 && orphans.count == 1 ? missing[0] : "NEW"
    let place = directory(of: target) ?? first.path
    return .warning(
      "enrollment",
      "\(first.path) is an enrollment of \(shown), and there is no such account: a renamed account counts as not "
        + "enrolled, or is refused",
      remedy: "if the account was renamed: mv -T \(first.path) \(place)\n"
        + "if the account was deleted: rm -r \(first.path)")
  }

  private func orphans(_ isAccount: (String) -> Bool) -> [(name: String, path: String)] {
    guard let (parent, prefix, suffix, rest, _) = parts else { return [] }
    return tree.names(in: parent + "/").prefix(Self.maximumEntries).compactMap { entry in
      guard entry.hasPrefix(prefix), entry.hasSuffix(suffix), entry.utf8.count > prefix.utf8.count + suffix.utf8.count
      else { return nil }
      let name = String(entry.dropFirst(prefix.count).dropLast(suffix.count))
      let path = "\(parent)/\(entry)"
      guard !isAccount(name), tree.ownStatus(of: "\(path)\(rest)/credential")?.isRegularFile == true else { return nil }
      return (name, path)
    }
  }

  private func directory(of name: String) -> String? {
    parts.map { "\($0.parent)/\($0.prefix)\(name)\($0.suffix)" }
  }

  /// The folder of the first component with `%u` or `%U`, what is before and after it, and the rest of the path.
  private var parts: (parent: String, prefix: String, suffix: String, rest: String, isByUserID: Bool)? {
    parts(of: "%u", isByUserID: false) ?? parts(of: "%U", isByUserID: true)
  }

  private func parts(
    of user: String, isByUserID: Bool
  ) -> (parent: String, prefix: String, suffix: String, rest: String, isByUserID: Bool)? {
    let names = template.split(separator: "/").map(String.init)
    guard template.hasPrefix("/"), let index = names.firstIndex(where: { $0.contains(user) }),
      let place = names[index].firstRange(of: user), !names[(index + 1)...].contains(where: { $0.contains(user) })
    else { return nil }
    let plain = { (text: Substring) in String(text.replacing("%%", with: "%")) }
    let rest = names[(index + 1)...].map { "/" + plain($0[...]) }.joined()
    return (
      names[..<index].map { "/" + plain($0[...]) }.joined(), plain(names[index][..<place.lowerBound]),
      plain(names[index][place.upperBound...]), rest, isByUserID
    )
  }
}
