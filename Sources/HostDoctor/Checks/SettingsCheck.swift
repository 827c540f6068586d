import FixedMemory
import Glibc
import HostAccess
import LoginPolicy

/// Checks `twofactor.conf`, the module's arguments, and the PAM service that checks passwords for the command.
struct SettingsCheck {
  let tree: HostTree
  let rules: [PAMRule]

  /// The defaults if the file is unusable.
  var settings: HostSettings {
    (try? tree.text(of: HostSettings.path).map { try HostSettings(text: $0) }) ?? HostSettings()
  }

  var findings: [Finding] {
    Set([HostSettings.path] + rules.map(tree.configuration)).sorted().map(file) + rules.compactMap(arguments)
      + [service]
  }

  // MARK: The file

  private func file(_ path: String) -> Finding {
    let name = "configuration"
    guard let status = tree.status(of: path) else {
      guard path != HostSettings.path else { return .ok(name, "\(path) does not exist: the defaults apply") }
      return .failed(
        name, "\(path) does not exist, and a PAM stack names it: every login is refused", remedy: "create it")
    }
    guard status.isRegularFile else {
      return .failed(name, "\(path) is not a file: every login is refused", remedy: "remove it")
    }
    guard status.owner == tree.administrator, !status.isWritableByOthers else {
      return .failed(
        name, "\(path) is writable by others than root: every login is refused",
        remedy: "chown root:root \(path) && chmod 644 \(path)")
    }
    guard tree.bytes(of: path, upTo: 1) != nil else { return .skipped(name, "\(path) cannot be read") }
    guard let problem = problem(in: path) else { return .ok(name, "\(path) is valid") }
    let lines = HostTree.lines(tree.text(of: path) ?? "")
    let index = Int(problem.line) - 1
    let removal =
      lines.indices.contains(index)
      ? Edit.remove(file: path, line: index + 1, text: String(lines[index])).text + "\nor correct it; " : ""
    return .failed(
      name, "\(words(problem, path)): every login is refused", remedy: removal + "options: man twofactor.conf")
  }

  private func problem(in path: String) -> PolicyProblem? {
    do throws(PolicyProblem) {
      _ = try tree.policy(in: path)
      return nil
    } catch {
      return error
    }
  }

  private func words(_ problem: PolicyProblem, _ path: String) -> String {
    var text = ByteText(capacity: 511)
    problem.describe(into: &text, path: path.utf8.span)
    return String(decoding: text.bytes)
  }

  // MARK: The arguments

  private func arguments(_ rule: PAMRule) -> Finding? {
    var policy = Policy()
    do throws(PolicyProblem) {
      policy = try tree.policy(in: tree.configuration(of: rule))
    } catch {
      // ``file(_:)`` reports it.
    }
    do throws(PolicyProblem) {
      for argument in rule.arguments { try policy.read(argument.utf8.span) }
      try policy.check()
    } catch {
      var word = ByteText(capacity: 95)
      error.appendWord(to: &word)
      let option = String(decoding: word.bytes)
      let change = (joined(option, rule) ?? without(option, rule)).map { $0.text + "\nor correct it; " } ?? ""
      return .failed(
        "module_arguments", "\(rule.place): \(words(error, HostSettings.path)): \(Self.effect(on: rule))",
        remedy: change + "arguments: man pam_twofactor")
    }
    return missingGroup(in: policy.onlyGroups, policy.problem("there is no such group", of: .onlyGroups), rule)
      ?? missingGroup(in: policy.exemptGroups, policy.problem("there is no such group", of: .exemptGroups), rule)
  }

  private static func effect(on rule: PAMRule) -> String {
    rule.facility == .account ? "users who are not enrolled are refused" : "every login is refused"
  }

  /// A blank in the name of a group needs brackets around the argument.
  private func joined(_ word: String, _ rule: PAMRule) -> Edit? {
    guard let end = rule.arguments.firstIndex(where: { $0 == word || $0.hasPrefix(word + "=") }),
      let start = rule.arguments[..<end].lastIndex(where: { $0.contains("=") }),
      ["only_groups=", "exempt_groups="].contains(where: rule.arguments[start].hasPrefix)
    else { return nil }
    var changed = rule
    changed.arguments.replaceSubrange(start...end, with: [rule.arguments[start...end].joined(separator: " ")])
    return .replace(file: rule.file, line: rule.line, text: changed.text())
  }

  private func without(_ word: String, _ rule: PAMRule) -> Edit? {
    guard let index = rule.arguments.lastIndex(where: { $0 == word || $0.hasPrefix(word + "=") }) else { return nil }
    var rest = rule
    rest.arguments.remove(at: index)
    return .replace(file: rule.file, line: rule.line, text: rest.text())
  }

  private func missingGroup(in list: Span<UInt8>, _ problem: PolicyProblem, _ rule: PAMRule) -> Finding? {
    var words = ListWords()
    while let word = words.next(in: list) {
      let group = String(decoding: word)
      guard Int(group) == nil, !isGroup(group) else { continue }
      return .failed(
        "groups",
        "\(rule.place): \(self.words(problem, tree.configuration(of: rule))): \(group): \(Self.effect(on: rule))",
        remedy: "groupadd --system '\(group)', or correct the name")
    }
    return nil
  }

  private func isGroup(_ name: String) -> Bool {
    // SAFETY: the string is NUL-terminated.
    if tree.isThisHost { return unsafe getgrnam(name) != nil }
    return tree.lines(of: "/etc/group").contains { $0.hasPrefix(name + ":") }
  }

  // MARK: The password service

  private var service: Finding {
    let name = "password_service"
    let service = PAMService.password
    guard let file = PAMConfiguration(tree: tree).path(of: service) else {
      guard settings.requiresPassword else {
        return .ok(name, "the PAM service \(service) does not exist, and require_password is no")
      }
      return .warning(
        name,
        "/etc/pam.d/\(service) does not exist: users cannot enroll, because their password cannot be checked",
        remedy: "printf 'auth required pam_unix.so\\naccount required pam_unix.so\\n' >/etc/pam.d/\(service)")
    }
    let stacks = PAMConfiguration(tree: tree).stacks(of: service)
    guard !stacks.ownRules.isEmpty else {
      return .warning(
        name, "\(file) has no auth rule: every password is refused",
        remedy: Edit.insertBefore(file: file, line: 1, text: "auth required pam_unix.so").text)
    }
    if let rule = stacks.twoFactorRules.first {
      return .warning(
        name, "\(file) calls pam_twofactor.so: a user who enrolls again is asked for a code that may be lost",
        remedy: rule.removal.text)
    }
    return .ok(name, "\(file) checks the password")
  }
}
