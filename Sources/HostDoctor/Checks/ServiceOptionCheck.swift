import FixedMemory
import HostAccess
import LoginPolicy

/// Checks options that depend on the service's name.
struct ServiceOptionCheck {
  let tree: HostTree
  let stacks: PAMServiceStacks
  /// The stacks that call the module.
  let others: [PAMServiceStacks]

  /// The module trusts only this service to report completed methods.
  static let reporting = "sshd"

  /// Whether the module refuses logins that sshd did not authenticate before.
  var requiresMethod: Bool { stacks.service == Self.reporting && !requiringRules.isEmpty }

  private var requiringRules: [PAMRule] {
    stacks.twoFactorRules.filter { tree.options(of: $0)?.requiredMethods.isEmpty == false }
  }

  var findings: [Finding] { [unreportedMethod].compactMap { $0 } + stacks.twoFactorRules.compactMap(hostName) }

  private var unreportedMethod: Finding? {
    guard stacks.service != Self.reporting, let rule = requiringRules.first else { return nil }
    return .failed(
      "require_method",
      "\(rule.place): require_method refuses every login through the service \(stacks.service): only the service "
        + "\(Self.reporting) reports methods",
      remedy: remedy(rule))
  }

  private func remedy(_ rule: PAMRule) -> String {
    let isArgument = { (argument: String) in argument.hasPrefix("require_method=") }
    if rule.arguments.contains(where: isArgument) {
      var changed = rule
      changed.arguments.removeAll(where: isArgument)
      return Edit.replace(file: rule.file, line: rule.line, text: changed.text()).text
    }
    // As an argument, the option still applies to the service for which it was meant.
    let path = tree.configuration(of: rule)
    guard let line = tree.line(of: .requireMethod, in: path), let options = tree.options(of: rule) else {
      return "remove require_method from \(path)"
    }
    let methods = options.requiredMethods.joined(separator: ",")
    let meant = others.filter { $0.service == Self.reporting }.flatMap(\.twoFactorRules)
      .filter { $0.file == "/etc/pam.d/\(Self.reporting)" && !$0.arguments.contains(where: isArgument) }
    let kept = meant.map { rule in
      var changed = rule
      changed.arguments.append("require_method=\(methods)")
      return Edit.replace(file: rule.file, line: rule.line, text: changed.text())
    }
    return (kept + [.remove(file: path, line: line, text: "require_method = \(methods)")]).text
  }

  /// Options with addresses do not work for a service that may report host names.
  private func hostName(_ rule: PAMRule) -> Finding? {
    guard let service = HostNameService.named(stacks.service.utf8.span),
      let index = rule.arguments.firstIndex(where: {
        $0.hasPrefix("trusted_networks=") || $0.hasPrefix("grace_period=") && $0 != "grace_period=0"
      })
    else { return nil }
    var changed = rule
    changed.arguments.remove(at: index)
    let option = rule.arguments[index].prefix { $0 != "=" }
    return .warning(
      "remote_address",
      "\(rule.place): \(option) has no effect in the service \(stacks.service): "
        + String(decoding: service.reason.bytes),
      remedy: Edit.replace(file: rule.file, line: rule.line, text: changed.text()).text)
  }
}
