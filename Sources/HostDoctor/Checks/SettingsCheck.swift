import FixedMemory
import Glibc
import HostAccess
import LoginPolicy

/// Looks at the configuration that module and command follow: `twofactor.conf`, the module's arguments, and the
/// service by which the command checks a password.
struct SettingsCheck {
  let tree: HostTree
  let rules: [PAMRule]

  /// The settings of the host, the usual ones where the file cannot be used.
  var settings: HostSettings { (try? read(HostSettings.path)) ?? HostSettings() }

  var findings: [Finding] {
    var findings: [Finding] = []
    for path in Set([HostSettings.path] + rules.compactMap(otherFile)).sorted() {
      findings.append(file(path))
    }
    findings += rules.compactMap(arguments)
    findings.append(service)
    return findings
  }

  private func otherFile(_ rule: PAMRule) -> String? {
    rule.arguments.last { $0.hasPrefix("conf=/") }.map { String($0.dropFirst("conf=".count)) }
  }

  private func file(_ path: String) -> Finding {
    let name = "configuration"
    guard let status = tree.status(of: path) else {
      guard path != HostSettings.path else { return .ok(name, "\(path) is not there: the defaults hold") }
      return .failed(name, "\(path) is not there, and a PAM stack names it: everybody is refused", remedy: "make it")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      return .failed(name, "\(path) is no file: everybody is refused", remedy: "remove it")
    }
    guard status.st_uid == tree.administrator, status.st_mode & 0o022 == 0 else {
      return .failed(
        name, "\(path) is not root's alone to write: everybody is refused",
        remedy: "chown root:root \(path) && chmod 644 \(path)")
    }
    guard let problem = problem(in: path) else { return .ok(name, "\(path) is understood") }
    var words = ByteText(capacity: 511)
    problem.describe(into: &words, path: path.utf8.span)
    let lines = (tree.text(of: path) ?? "").split(separator: "\n", omittingEmptySubsequences: false)
    let line = Int(problem.line)
    let removal =
      lines.indices.contains(line - 1)
      ? Edit.remove(file: path, line: line, text: String(lines[line - 1])).text + "\nor correct it; " : ""
    return .failed(
      name, "\(String(decoding: words.bytes)): everybody is refused",
      remedy: removal + "what may stand there: man twofactor.conf")
  }

  /// What the parser of logins does not understand in a file.
  private func problem(in path: String) -> PolicyProblem? {
    guard let bytes = bytes(of: path) else { return nil }
    do throws(PolicyProblem) {
      var policy = Policy()
      try policy.read(file: bytes)
      try policy.check()
      return nil
    } catch {
      return error
    }
  }

  private func read(_ path: String) throws -> HostSettings {
    guard let text = tree.text(of: path) else { return HostSettings() }
    return try HostSettings(text: text, path: path)
  }

  /// What is wrong with the arguments of a line.
  private func arguments(_ rule: PAMRule) -> Finding? {
    guard let problem = problem(with: rule) else { return groups(rule) }
    var words = ByteText(capacity: 511)
    problem.describe(into: &words, path: HostSettings.path.utf8.span)
    var word = ByteText(capacity: 95)
    problem.appendWord(to: &word)
    let change = without(String(decoding: word.bytes), rule).map { $0.text + "\nor correct it; " } ?? ""
    return .failed(
      "module_arguments", "\(rule.place): \(String(decoding: words.bytes)): everybody is refused",
      remedy: change + "what may stand there: man pam_twofactor")
  }

  /// What the parser does not understand, read as in a login: behind the file that the arguments override.
  private func problem(with rule: PAMRule) -> PolicyProblem? {
    do throws(PolicyProblem) {
      var policy = Policy()
      if let file = bytes(of: otherFile(rule) ?? HostSettings.path) { try? policy.read(file: file) }
      for argument in rule.arguments { try policy.read(argument.utf8.span) }
      try policy.check()
      return nil
    } catch {
      return error
    }
  }

  /// The line without the last argument of that name.
  private func without(_ word: String, _ rule: PAMRule) -> Edit? {
    guard let index = rule.arguments.lastIndex(where: { $0 == word || $0.hasPrefix(word + "=") }) else { return nil }
    var arguments = rule.arguments
    arguments.remove(at: index)
    let rest = PAMRule(
      file: rule.file, line: rule.line, facility: rule.facility, control: rule.control, module: rule.module,
      arguments: arguments)
    return .replace(file: rule.file, line: rule.line, text: rest.text())
  }

  /// Groups that do not exist.
  private func groups(_ rule: PAMRule) -> Finding? {
    let settings = (tree.text(of: otherFile(rule) ?? HostSettings.path) ?? "").split(separator: "\n").map(String.init)
    for setting in rule.arguments + settings {
      let parts = setting.split(separator: "=", maxSplits: 1).map { $0.filter { !" \t".contains($0) } }
      guard parts.count == 2, parts[0] == "only_groups" || parts[0] == "exempt_groups" else { continue }
      for group in parts[1].split(separator: ",").map(String.init) where Int(group) == nil && !isGroup(group) {
        return .failed(
          "groups", "\(rule.place): there is no group \(group), which \(parts[0]) names: everybody is refused",
          remedy: "groupadd --system \(group), or correct the name")
      }
    }
    return nil
  }

  private func isGroup(_ name: String) -> Bool {
    if tree.isThisHost { return unsafe getgrnam(name) != nil }
    return (tree.text(of: "/etc/group") ?? "").split(separator: "\n").contains { $0.hasPrefix(name + ":") }
  }

  private func bytes(of path: String) -> SecretBuffer? {
    guard let text = tree.text(of: path), var bytes = SecretBuffer(capacity: text.utf8.count + 1),
      bytes.append(text.utf8.span)
    else { return nil }
    return bytes
  }

  private var service: Finding {
    let name = "password_service"
    let place = PAMConfiguration.folders.map { "\($0)/\(HostSettings.passwordService)" }.first { tree.exists($0) }
    guard let place else {
      guard settings.requiresPassword else {
        return .ok(name, "there is no service \(HostSettings.passwordService), and no password is asked for")
      }
      return .warning(
        name,
        "/etc/pam.d/\(HostSettings.passwordService) is missing: users cannot switch two-factor on, for their password cannot "
          + "be checked",
        remedy:
          "printf 'auth required pam_unix.so\\naccount required pam_unix.so\\n' >/etc/pam.d/\(HostSettings.passwordService)")
    }
    let stack = PAMConfiguration(tree: tree).stack(of: HostSettings.passwordService)
    guard let stack, !stack.rules.isEmpty else {
      return .warning(
        name, "\(place) has no auth line: no password is right",
        remedy: Edit.insertBefore(file: place, line: 1, text: "auth required pam_unix.so").text)
    }
    if let rule = stack.twoFactorRules.first {
      return .warning(
        name, "\(place) names pam_twofactor.so: a user who enrols again is asked for a code that may be lost",
        remedy: rule.removal.text)
    }
    return .ok(name, "\(place) checks the password")
  }
}
