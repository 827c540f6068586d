/// Edits that make a stack ask for a code after a right password, and only then.
struct StackRepair {
  let stack: PAMStack

  private var passwords: [PAMRule] { stack.rules.filter { PAMModules.passwords.contains($0.name) } }

  /// Moves a rule of pam_twofactor after the password check.
  func moved(_ rule: PAMRule) -> [Edit] {
    let (file, line) = end(ofPasswordFor: rule)
    return [rule.removal, .insertAfter(file: file, line: line, text: rule.text())]
  }

  /// The last line of the password check; if `rule`'s file includes that check, the including line.
  private func end(ofPasswordFor rule: PAMRule) -> (file: String, line: Int) {
    guard let last = passwords.last else { return (rule.file, rule.line) }
    let end = block(of: last).map { $0.permit ?? $0.deny } ?? last
    var (file, line) = (end.file, end.line)
    while file != rule.file, let origin = stack.origins[file] { (file, line) = (origin.file, origin.line) }
    return file == rule.file ? (file, line) : (end.file, end.line)
  }

  /// Makes a right password skip pam_deny and continue at pam_permit, before pam_twofactor. Empty if no pam_deny
  /// follows the password modules, or no change is needed.
  func jumps() -> [Edit] {
    guard let last = passwords.last, let block = block(of: last) else { return [] }
    var edits: [Edit] = []
    let rules = block.rules.filter { !$0.isTwoFactor }
    guard let end = rules.firstIndex(of: block.deny) else { return [] }
    for (index, rule) in rules.enumerated() where PAMModules.passwords.contains(rule.name) && index < end {
      let count = end - index
      if rule.control.action(on: "success") != .jump(count) {
        edits.append(rule.with(control: "[success=\(count) default=ignore]"))
      }
    }
    let early = block.rules.prefix { $0 != block.deny }.filter(\.isTwoFactor)
    edits += early.map(\.removal)
    if block.deny.control.action(on: "auth_err") != .die { edits.append(block.deny.with(control: "requisite")) }
    let place = block.permit ?? block.deny
    if block.permit == nil {
      edits.append(.insertAfter(file: place.file, line: place.line, text: "auth required pam_permit.so"))
    }
    edits += early.map { .insertAfter(file: place.file, line: place.line, text: $0.text()) }
    return edits
  }

  /// Makes a wrong password end the stack.
  func requisite(_ password: PAMRule) -> [Edit] {
    var edits = jumps()
    if edits.isEmpty, password.control.text.lowercased() == "required" {
      edits = [password.with(control: "requisite")]
    }
    // A substack cannot end the stack.
    var file = password.file
    while let origin = stack.origins[file] {
      if origin.isSubstack {
        edits.append(.replace(file: origin.file, line: origin.line, text: "auth include \(origin.target)"))
      }
      file = origin.file
    }
    return edits
  }

  /// Password modules and the pam_deny that follows in the same file.
  private struct Block {
    let rules: [PAMRule]
    let deny: PAMRule
    let permit: PAMRule?
  }

  private func block(of password: PAMRule) -> Block? {
    let rules = stack.rules.filter { $0.file == password.file }
    guard let index = rules.firstIndex(of: password),
      let deny = rules[index...].first(where: { $0.name == "pam_deny" }), let end = rules.firstIndex(of: deny),
      // A jump would also count included rules.
      let first = stack.rules.firstIndex(where: { $0.file == password.file && passwords.contains($0) }),
      let last = stack.rules.firstIndex(of: deny), first < last,
      stack.rules[first...last].allSatisfy({ $0.file == password.file })
    else { return nil }
    return Block(rules: rules, deny: deny, permit: rules[end...].first { $0.name == "pam_permit" })
  }
}
