/// Works out which lines to change so that a stack asks for the code after a right password, and only then.
struct StackRepair {
  let stack: PAMStack

  private static let deny = "pam_deny"
  private static let permit = "pam_permit"

  /// The checks of a password, in the order of the stack.
  private var passwords: [PAMRule] { stack.rules.filter { PAMModules.passwords.contains($0.name) } }

  /// Lines of ours that come too early or are never reached: away from there, and behind the check of the password.
  func moved(_ rule: PAMRule) -> [Edit] {
    [rule.removal, .insertBehind(file: anchor(for: rule).file, line: anchor(for: rule).line, text: rule.text())]
  }

  /// Behind which line of the file of `rule`, or of the last check of a password, that check is over.
  private func anchor(for rule: PAMRule) -> (file: String, line: Int) {
    guard let last = passwords.last else { return (rule.file, rule.line) }
    let end = block(of: last).map { $0.permit ?? $0.deny } ?? last
    var (file, line) = (end.file, end.line)
    while file != rule.file, let origin = stack.origins[file] { (file, line) = (origin.file, origin.line) }
    return file == rule.file ? (file, line) : (end.file, end.line)
  }

  /// Has every right password jump over the refusal of wrong ones, to what says yes, and from there to our line. Empty
  /// where the checks of passwords are not followed by pam_deny.so, or everything is so already.
  func jumping() -> [Edit] {
    guard let last = passwords.last, let block = block(of: last) else { return [] }
    var edits: [Edit] = []
    let ours = block.rules.filter(\.isTwoFactor)
    let rules = block.rules.filter { !$0.isTwoFactor }
    guard let end = rules.firstIndex(of: block.deny) else { return [] }
    for (index, rule) in rules.enumerated() where PAMModules.passwords.contains(rule.name) && index < end {
      let count = end - index
      if rule.control.action(on: "success") != .jump(count) {
        edits.append(rule.with(control: "[success=\(count) default=ignore]"))
      }
    }
    let early = ours.filter { rule in
      block.rules.firstIndex(of: rule).map { $0 < (block.rules.firstIndex(of: block.deny) ?? 0) } ?? false
    }
    edits += early.map(\.removal)
    if block.deny.control.action(on: "auth_err") != .die { edits.append(block.deny.with(control: "requisite")) }
    let place = block.permit ?? block.deny
    if block.permit == nil {
      edits.append(.insertBehind(file: place.file, line: place.line, text: "auth required pam_permit.so"))
    }
    edits += early.map { .insertBehind(file: place.file, line: place.line, text: $0.text()) }
    return edits
  }

  /// Has a wrong password end the stack: the check itself, or what it stands in.
  func requisite(_ password: PAMRule) -> [Edit] {
    var edits = jumping()
    if edits.isEmpty, password.control.text.lowercased() == "required" {
      edits = [password.with(control: "requisite")]
    }
    // What ends a substack does not end the stack.
    var file = password.file
    while let origin = stack.origins[file] {
      if origin.isSubstack {
        edits.append(.replace(file: origin.file, line: origin.line, text: "auth include \(origin.target)"))
      }
      file = origin.file
    }
    return edits
  }

  private struct Block {
    /// The lines of the file, in their order.
    let rules: [PAMRule]
    let deny: PAMRule
    /// The pam_permit.so behind it, which says yes for all of them.
    let permit: PAMRule?
  }

  /// The lines around a check of a password, where pam_deny.so follows in its file.
  private func block(of password: PAMRule) -> Block? {
    let rules = stack.rules.filter { $0.file == password.file }
    guard let index = rules.firstIndex(of: password),
      let deny = rules[index...].first(where: { $0.name == Self.deny }), let end = rules.firstIndex(of: deny)
    else { return nil }
    // A jump counts what is included in between as well, which is not this file's to know.
    guard let first = stack.rules.firstIndex(where: { $0.file == password.file && passwords.contains($0) }),
      let last = stack.rules.firstIndex(of: deny), first < last,
      stack.rules[first...last].allSatisfy({ $0.file == password.file })
    else { return nil }
    return Block(rules: rules, deny: deny, permit: rules[end...].first { $0.name == Self.permit })
  }
}
