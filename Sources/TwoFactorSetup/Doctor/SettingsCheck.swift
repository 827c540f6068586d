import FixedMemory
import Glibc
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
    do {
      _ = try read(path)
      return .ok(name, "\(path) is understood")
    } catch {
      return .failed(
        name, "\((error as? SetupError)?.message ?? "\(path) cannot be read"): everybody is refused",
        remedy: "correct that line; what may stand there: man twofactor.conf")
    }
  }

  private func read(_ path: String) throws -> HostSettings {
    guard let text = tree.text(of: path) else { return HostSettings() }
    return try HostSettings(text: text, path: path)
  }

  private func arguments(_ rule: PAMRule) -> Finding? {
    do throws(PolicyProblem) {
      var parser = PolicyParser()
      for argument in rule.arguments { try parser.read(argument.utf8.span) }
      return nil
    } catch {
      var text = ByteText<256>()
      error.describe(into: &text)
      return .failed(
        "module_arguments", "\(rule.place): \(String(decoding: text.bytes)): everybody is refused",
        remedy: "in \(rule.file), line \(rule.line), correct it; what may stand there: man pam_twofactor")
    }
  }

  private var service: Finding {
    let name = "password_service"
    let place = PAMConfiguration.folders.map { "\($0)/\(PasswordCheck.service)" }.first { tree.exists($0) }
    guard let place else {
      guard settings.requiresPassword else {
        return .ok(name, "there is no service \(PasswordCheck.service), and no password is asked for")
      }
      return .warning(
        name,
        "/etc/pam.d/\(PasswordCheck.service) is missing: users cannot switch two-factor on, for their password cannot "
          + "be checked",
        remedy: "install it; it consists of: auth required pam_unix.so and account required pam_unix.so")
    }
    let stack = PAMConfiguration(tree: tree).stack(of: PasswordCheck.service)
    guard let stack, !stack.rules.isEmpty else {
      return .warning(
        name, "\(place) has no auth line: no password is right", remedy: "in \(place): auth required pam_unix.so")
    }
    guard stack.twoFactorRules.isEmpty else {
      return .warning(
        name, "\(place) names pam_twofactor.so: a user who enrols again is asked for a code that may be lost",
        remedy: "in \(place), let it be: auth required pam_unix.so")
    }
    return .ok(name, "\(place) checks the password")
  }
}
