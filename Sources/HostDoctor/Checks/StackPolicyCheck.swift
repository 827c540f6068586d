import HostAccess
import LoginPolicy

/// Compares the options of stacks with `twofactor.conf`, the only file that the command reads.
struct StackPolicyCheck {
  let tree: HostTree
  let rules: [PAMRule]

  private static let name = "policy"

  /// Options that stacks and `twofactor.conf` must agree on.
  private struct Shared {
    let option: PolicyOption
    /// Whether the command uses the default of an option that the file does not set.
    let hasDefault: Bool
    let value: (EffectiveOptions) -> String
    let effect: String
  }

  private static var shared: [Shared] {
    [
      Shared(
        option: .directory, hasDefault: true,
        value: { $0.directory.hasPrefix("%h/") ? "~/" + $0.directory.dropFirst(3) : $0.directory },
        effect: "logins look for enrollments elsewhere than twofactor stores them"),
      Shared(
        option: .owner, hasDefault: true, value: { $0.owner.isEmpty ? "not set" : $0.owner },
        effect: "logins expect another owner of enrollments than twofactor sets"),
      Shared(
        option: .shared, hasDefault: true, value: { $0.isShared ? "yes" : "no" },
        effect: "logins and twofactor disagree on file systems whose locks stay on this host"),
      Shared(
        option: .nullok, hasDefault: false, value: { $0.nullok ? "yes" : "no" },
        effect: "in this service, the policy for users who are not enrolled differs from that of the host"),
    ]
  }

  var findings: [Finding] {
    let all = rules.compactMap { rule in tree.options(of: rule).map { (rule: rule, options: $0) } }
    let authentication = all.filter { $0.rule.facility == .auth }
    let names = Set(all.map(\.options.owner)).subtracting([""])
    let owners = names.compactMap { TreeAccount.named($0, in: tree) }
    return Self.shared.flatMap { differences(of: $0, $0.option == .nullok ? authentication : all) }
      + authentication.compactMap(missingParent)
      + all.compactMap { names.contains($1.owner) ? problem(of: $1, $0, owners) : nil } + rules.flatMap(overrides)
      + storeWithoutEffect
  }

  /// A missing parent does not prove that a user is not enrolled. ``RegisterCheck`` and ``HostStoreCheck`` report that of
  /// the register and of the host store.
  private func missingParent(_ rule: PAMRule, _ options: EffectiveOptions) -> Finding? {
    let parts = options.directory.split(separator: "/").dropLast()
    let parent = "/" + parts.joined(separator: "/").replacing("%%", with: "%")
    guard ["", "root"].contains(options.owner), options.directory.hasPrefix("/"), options.passesUnenrolled,
      !["/var/lib/twofactor", "/var/lib/twofactor/users"].contains(parent),
      ["%u", "%U"].allSatisfy({ !options.directory.dropLast(2).contains($0) }), !tree.exists(parent)
    else { return nil }
    return .failed(
      Self.name,
      "\(place(of: .directory, rule)): \(parent) does not exist, so that users who are not enrolled are refused",
      remedy: "install -d -o root -g root -m 755 \(parent)")
  }

  /// The option `owner` needs an account, and a folder of that account. `owners` are the accounts that exist.
  private func problem(of options: EffectiveOptions, _ rule: PAMRule, _ owners: [TreeAccount]) -> Finding? {
    let place = place(of: .owner, rule)
    let name = options.owner
    guard options.directory.hasPrefix("/") else {
      return .failed(
        Self.name, "\(place): owner needs a directory outside the homes: every login is refused",
        remedy: "set directory to a folder of the owner, as in /var/lib/\(name)/twofactor/%U, or remove owner")
    }
    guard let owner = owners.first(where: { $0.name == name }) else {
      return .failed(
        Self.name, "\(place): owner is \(name), and there is no such account: every login is refused",
        remedy: "correct the name, or create the account: useradd --system '\(name)'")
    }
    let folder = HostSettings.folder(of: options.directory)
    let status = tree.status(of: folder)
    guard owner.userID != .root, status?.owner != owner.userID else { return nil }
    let words = status == nil ? "does not exist" : "is not owned by \(name)"
    return .failed(
      Self.name, "\(place): \(folder) \(words), so that users cannot be enrolled",
      remedy: HostSettings.creation(of: folder, owner: name, exists: status != nil))
  }

  // MARK: Differences

  private func differences(of shared: Shared, _ all: [(rule: PAMRule, options: EffectiveOptions)]) -> [Finding] {
    let path = HostSettings.path
    let line = line(of: shared.option, in: path)
    guard shared.hasDefault || line != nil, let host = tree.options(in: path) else { return [] }
    let expected = shared.value(host)
    let different = all.filter { shared.value($0.options) != expected }
    return different.map { rule, options in
      let place = line.map { "in \(path), line \($0)" } ?? "by default, because \(path) does not set it"
      let value = shared.value(options)
      var words = "\(shared.option.word) is \(value), but it is \(expected)"
      if let store = PolicyOption.store(of: value), let other = PolicyOption.store(of: expected) {
        words = "store is \(store), but it is \(other)"
      }
      return .failed(
        Self.name, "\(self.place(of: shared.option, rule)): \(words) \(place): \(shared.effect)",
        remedy: shared.hasDefault
          ? agreement(shared, rule, value: value, expected: expected, all)
          : separation(shared.option, expected: expected, line: line ?? 1, all.map(\.rule)))
    }
  }

  /// If all stacks have the same value, sets it in the file, because logins use these enrollments. Otherwise sets the
  /// value of the file in this stack.
  private func agreement(
    _ shared: Shared, _ rule: PAMRule, value: String, expected: String,
    _ all: [(rule: PAMRule, options: EffectiveOptions)]
  ) -> String {
    if shared.option == .owner, value == "not set" || expected == "not set" {
      return "set owner only in \(HostSettings.path)"
    }
    guard all.allSatisfy({ shared.value($0.options) == value }) else {
      return tree.edit(shared.option, expected, of: rule)
    }
    return tree.edit(shared.option, value, in: HostSettings.path)
  }

  /// Moves the option from the file to the stacks. Each keeps its value.
  private func separation(_ option: PolicyOption, expected: String, line: Int, _ rules: [PAMRule]) -> String {
    let path = HostSettings.path
    let name = String(decoding: option.name.bytes)
    let lines = HostTree.lines(tree.text(of: path) ?? "")
    let dependent = rules.filter { rule in
      expected == "yes" && tree.configuration(of: rule) == path && argument(name, of: rule) == nil
    }
    let arguments = dependent.map { rule in
      var changed = rule
      changed.arguments.append(name)
      return Edit.replace(file: rule.file, line: rule.line, text: changed.text())
    }
    return (arguments + [.remove(file: path, line: line, text: String(lines[line - 1]))]).text
  }

  // MARK: Overrides

  /// Reports arguments that override the file.
  private func overrides(_ rule: PAMRule) -> [Finding] {
    let path = tree.configuration(of: rule)
    guard let text = tree.text(of: path) else { return [] }
    let lines = HostTree.lines(text)
    return rule.arguments.compactMap { argument in
      let name = argument.prefix { $0 != "=" }
      guard !Self.shared.flatMap(\.option.places).contains(where: { $0.word == name }),
        let option = PolicyOption.named(Array(name.utf8).span), let line = tree.line(of: option, in: path)
      else { return nil }
      let value = argument.dropFirst(name.count + 1)
      let other = lines[line - 1].drop { $0 != "=" }.dropFirst().trimmingBlanks
      guard other != (value.isEmpty ? "yes" : value) else { return nil }
      return .ok(
        Self.name, "\(rule.place): \(argument) overrides \(name) = \(other) (\(path), line \(line)) in this service")
    }
  }

  /// `directory` overrides `store`.
  private var storeWithoutEffect: [Finding] {
    let path = HostSettings.path
    guard let line = tree.line(of: .store, in: path), let other = tree.line(of: .directory, in: path),
      let template = tree.options(in: path)?.directory
    else { return [] }
    let text = String(HostTree.lines(tree.text(of: path) ?? "")[line - 1])
    if let store = PolicyOption.store(of: template), text[...].trimmingBlanks.hasSuffix(store) { return [] }
    return [
      .warning(
        Self.name, "\(path), line \(line): store has no effect, because line \(other) sets directory",
        remedy: [Edit.remove(file: path, line: line, text: text)].text + "\nor, to use the store, remove line \(other)")
    ]
  }

  // MARK: Places

  private func line(of option: PolicyOption, in path: String) -> Int? {
    option.places.lazy.compactMap { tree.line(of: $0, in: path) }.first
  }

  private func argument(_ name: String, of rule: PAMRule) -> String? {
    rule.arguments.last { $0 == name || $0.hasPrefix(name + "=") }
  }

  /// Where the rule's value of an option is set.
  private func place(of option: PolicyOption, _ rule: PAMRule) -> String {
    let path = tree.configuration(of: rule)
    guard option.places.allSatisfy({ argument($0.word, of: rule) == nil }), path != HostSettings.path else {
      return rule.place
    }
    return rule.place + (line(of: option, in: path).map { " (\(path), line \($0))" } ?? " (\(path))")
  }
}

extension HostFindings {
  var ofPolicy: [Finding] {
    let options = options
    return StackPolicyCheck(tree: tree, rules: rules + accountRules).findings
      + [mixedServices(options)].compactMap { $0 }
      + FirstLoginCheck(host: self, options: options).findings
  }

  /// Not in ``ofFiles``, because a host has hundreds of units, and remedies of other findings do not change them.
  var ofUnits: [Finding] {
    let options = options
    let services = services.filter { service in
      (options[service] ?? []).contains(where: \.keepsEnrollmentsInHomes)
    }
    return UnitCheck(tree: tree, services: Set(services)).findings
  }

  /// The options of the rules that each service calls. Parses those of each rule once.
  private var options: [String: [EffectiveOptions]] {
    var known: [String: EffectiveOptions?] = [:]
    var all: [String: [EffectiveOptions]] = [:]
    for service in services {
      all[service] = configuration.stacks(of: service).twoFactorRules.compactMap { rule in
        if let options = known[rule.place] { return options }
        let options = tree.options(of: rule)
        known[rule.place] = .some(options)
        return options
      }
    }
    return all
  }

  /// Reports services that differ in `nullok`, `enroll`, `required_from` or `only_groups`.
  private func mixedServices(_ options: [String: [EffectiveOptions]]) -> Finding? {
    let isStrict = { (service: String) in (options[service] ?? []).contains { !$0.passesUnenrolled } }
    let (strict, lax) = (services.filter(isStrict), services.filter { !isStrict($0) })
    guard !strict.isEmpty, !lax.isEmpty else { return nil }
    return .ok(
      "policy",
      "users who are not enrolled may pass in \(lax.joined(separator: ", ")), but not in "
        + strict.joined(separator: ", "))
  }
}

extension EffectiveOptions {
  /// Whether logins look for enrollments in the homes.
  var keepsEnrollmentsInHomes: Bool { ["~/", "%h/", "/home/", "/root/"].contains { directory.hasPrefix($0) } }
}
