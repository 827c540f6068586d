/// The modules of a service that checks passwords.
package struct PasswordModules {
  /// Whether the auth phase calls pam_unix, and no other module.
  package let isUnixAlone: Bool
  /// Whether a pam_unix line has `nullok`, which accepts empty passwords (pam_unix(8)).
  package let acceptsEmptyPasswords: Bool

  /// Reads the service as libpam does.
  package init(of service: String, tree: HostTree = HostTree()) {
    let stacks = PAMConfiguration(tree: tree).stacks(of: service)
    let handlers = stacks.obstacle == nil ? stacks.chain(.auth).handlers : []
    let rules = handlers.compactMap(\.rule)
    isUnixAlone = !rules.isEmpty && rules.count == handlers.count && rules.allSatisfy { $0.name == "pam_unix" }
    acceptsEmptyPasswords = rules.contains { $0.arguments.contains("nullok") }
  }
}
