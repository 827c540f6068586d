/// What an SSH login requires: the methods of sshd, combined with the PAM stack that some of them call.
struct SSHLogins {
  let settings: SSHSettings
  let service: ServiceLogins
  /// The methods of the option `require_method`; empty if it is not set.
  let requiredMethods: [String]

  /// One list of methods that a login can complete.
  struct Way {
    let methods: [String]
    /// What PAM requires after the methods that do not use it; nothing if no method does.
    let enrolled: LoginNeeds
    let unenrolled: LoginNeeds

    var hasProof: Bool { SSHLogins.haveProof(methods) }
  }

  /// Methods that do not use PAM.
  private static let proofs: Set<String> = ["publickey", "hostbased", "gssapi-with-mic", "gssapi-keyex"]

  static func haveProof(_ methods: [String]) -> Bool { !proofs.isDisjoint(with: methods) }

  static func usesPAM(_ methods: [String]) -> Bool { !proofs.isSuperset(of: methods) }

  /// Empty if the stack could not be evaluated.
  var ways: [Way] {
    guard let enrolled = service.enrolled, let unenrolled = service.unenrolled else { return [] }
    return settings.methods.map { methods in
      Way(methods: methods, enrolled: needs(methods, enrolled), unenrolled: needs(methods, unenrolled))
    }
  }

  /// Whether `require_method` refuses the login, because sshd calls PAM before it completes a required method.
  func isRefused(_ methods: [String]) -> Bool {
    guard !requiredMethods.isEmpty, Self.usesPAM(methods) else { return false }
    return Set(requiredMethods).isDisjoint(with: methods.prefix { Self.proofs.contains($0) })
  }

  private func needs(_ methods: [String], _ stack: LoginNeeds) -> LoginNeeds {
    if isRefused(methods) { return LoginNeeds(passing: []) }
    return methods.map { needs($0, stack) }.reduce(LoginNeeds(passing: [[]])) { all, next in
      LoginNeeds(passing: Set(all.alternatives.flatMap { one in next.alternatives.map { one.union($0) } }))
    }
  }

  private func needs(_ method: String, _ stack: LoginNeeds) -> LoginNeeds {
    switch method {
    case "keyboard-interactive": settings.isOn(.usePAM) ? stack : LoginNeeds(passing: [])
    case "password":
      if settings.isOn(.kerberos) || !settings.isOn(.usePAM) {
        LoginNeeds(passing: [.password])
      } else {
        // sshd replies to each prompt with the password.
        LoginNeeds(passing: stack.alternatives.filter { service.isSingleField || $0 != [.password, .code] })
      }
    default: LoginNeeds(passing: [[]])
    }
  }
}
