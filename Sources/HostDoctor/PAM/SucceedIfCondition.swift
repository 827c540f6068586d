/// The conditions of pam_succeed_if(8), evaluated for root or for another user.
struct SucceedIfCondition {
  /// One result if the conditions can be decided. Otherwise the result if the condition ``key`` is met, and if not.
  let results: [PAMResult]
  /// A condition and its opposite have the same key.
  let key: String

  private enum Answer {
    case met
    case unmet
    case invalid
    /// Unknown; `isNegated` if the condition is the opposite of its key.
    case depends(key: String, isNegated: Bool)
  }

  private static let options: Set<String> = ["debug", "use_uid", "quiet", "quiet_fail", "quiet_success", "audit"]
  private static let numbers: Set<String> = ["<", "lt", "<=", "le", ">", "gt", ">=", "ge", "eq", "ne"]
  private static let texts: Set<String> = [
    "=", "!=", "=~", "glob", "!~", "noglob", "in", "notin", "ingroup", "notingroup", "innetgr", "notinnetgr",
  ]
  /// Operators and their opposites; `glob` is another name of `=~`.
  private static let opposites = [
    "ne": "eq", "!=": "=", "!~": "=~", "noglob": "=~", "notin": "in", "notingroup": "ingroup",
    "notinnetgr": "innetgr", "glob": "=~",
  ]

  /// `isEmpty`: whether a group is known to have no members.
  init(_ arguments: [String], service: String, isRoot: Bool, isEmpty: (String) -> Bool) {
    let usesCaller = arguments.contains("use_uid")
    let words = arguments.filter { !Self.options.contains($0) }
    var open: [(key: String, isNegated: Bool)] = []
    var last = PAMResult.success
    for start in stride(from: 0, to: words.count, by: 3) {
      guard start + 2 < words.count else {
        last = .serviceError
        break
      }
      let answer = Self.answer(
        words[start].asciiLowercased, words[start + 1].asciiLowercased, words[start + 2], service, isRoot, usesCaller,
        isEmpty)
      // The module stops at the first condition that is not met.
      if case .unmet = answer { last = .authenticationError }
      if case .invalid = answer { last = .serviceError }
      if case .depends(let key, let isNegated) = answer { open.append((key, isNegated)) }
      if last != .success { break }
    }
    if open.count == 1 {
      key = open[0].key
      results = open[0].isNegated ? [.authenticationError, last] : [last, .authenticationError]
    } else {
      key = "pam_succeed_if " + words.joined(separator: " ")
      results = open.isEmpty ? [last] : [last, .authenticationError]
    }
  }

  private static func answer(
    _ attribute: String, _ operation: String, _ value: String, _ service: String, _ isRoot: Bool, _ usesCaller: Bool,
    _ isEmpty: (String) -> Bool
  ) -> Answer {
    guard numbers.contains(operation) || texts.contains(operation) else { return .invalid }
    let name: String
    switch attribute {
    case "user", "login", "name": name = "user"
    case "home", "dir", "homedir": name = "home"
    case "uid", "gid", "shell", "service", "ruser", "rhost", "tty": name = attribute
    default: return .invalid
    }
    // The module compares only IDs as numbers.
    guard name == "uid" || name == "gid" || !numbers.contains(operation) else { return .invalid }
    let base = opposites[operation] ?? operation
    let isNegated = base != operation && operation != "glob"
    if base == "ingroup", value.split(separator: ":").allSatisfy({ isEmpty(String($0)) }) {
      return isNegated ? .met : .unmet
    }
    if name == "service", let isMet = isMet(service, base, value) { return isMet != isNegated ? .met : .unmet }
    if name == "user", !usesCaller, base == "=" || base == "in" {
      let names = value.split(separator: ":")
      if isRoot { return names.contains("root") != isNegated ? .met : .unmet }
      if names.allSatisfy({ $0 == "root" }) { return isNegated ? .met : .unmet }
    }
    if name == "uid", base != "ingroup" { return userID(base, isNegated, value, isRoot, usesCaller) }
    return .depends(key: key(name, base, value, usesCaller), isNegated: isNegated)
  }

  /// Nil if it cannot be decided.
  private static func isMet(_ text: String, _ operation: String, _ value: String) -> Bool? {
    switch operation {
    case "=": text == value
    case "in": value.split(separator: ":").contains { $0 == text }
    default: nil
    }
  }

  private static func userID(
    _ base: String, _ isNegated: Bool, _ value: String, _ isRoot: Bool, _ usesCaller: Bool
  ) -> Answer {
    guard let number = Int32(value).map(Int.init), number == 0 || !value.hasPrefix("0") else {
      return .depends(key: key("uid", base, value, usesCaller), isNegated: isNegated)
    }
    // All comparisons become `<`; the user ID is at least 1, unless it is the caller's.
    let comparison: (limit: Int, isNegated: Bool)
    switch base {
    case "<", "lt": comparison = (number, false)
    case "<=", "le": comparison = (number + 1, false)
    case ">", "gt": comparison = (number + 1, true)
    case ">=", "ge": comparison = (number, true)
    case "=", "eq":
      if isRoot, !usesCaller { return (number == 0) != isNegated ? .met : .unmet }
      guard usesCaller || number > 0 else { return isNegated ? .met : .unmet }
      return .depends(key: key("uid", "=", value, usesCaller), isNegated: isNegated)
    default: return .depends(key: key("uid", base, value, usesCaller), isNegated: isNegated)
    }
    if isRoot, !usesCaller { return (comparison.limit > 0) != comparison.isNegated ? .met : .unmet }
    guard comparison.limit > (usesCaller ? 0 : 1) else { return comparison.isNegated ? .met : .unmet }
    return .depends(key: key("uid", "<", String(comparison.limit), usesCaller), isNegated: comparison.isNegated)
  }

  private static func key(_ name: String, _ operation: String, _ value: String, _ usesCaller: Bool) -> String {
    "\(usesCaller ? "caller's " : "")\(name) \(operation) \(value)"
  }
}
