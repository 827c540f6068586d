import Enrollment
import FixedMemory
import HostAccess
import LoginPolicy
import SystemFiles
import Verification

/// The options in force for a rule.
struct EffectiveOptions {
  let limits: VerificationLimits
  let requiredMethods: [String]
  /// Whether `trusted_networks` or `grace_period` is set.
  let usesAddresses: Bool
  /// The template of enrollments' directories; empty if they are in a database.
  let directory: String
  let isPostgreSQL: Bool
  /// Empty for root or the user.
  let owner: String
  let isShared: Bool
  let onlyGroups: [String]
  let exemptGroups: [String]
  let nullok: Bool
  /// `enroll` as of today: `required_from`, if set, decides between offer and require.
  let enrollment: LoginEnrollment
  /// The day of `required_from` if it is in the future.
  let enrollmentDay: String?
  /// `enroll_networks`; empty for all.
  let enrollmentNetworks: [String]
  /// Whether users who are not enrolled would pass today without `enroll`: by `nullok`, or before `required_from`.
  let admitsUnenrolled: Bool
  /// Whether users who are not enrolled may pass: by `nullok`, by `enroll`, before `required_from`, or outside
  /// `only_groups`.
  let passesUnenrolled: Bool
  /// Whether users who are not enrolled pass today.
  let exemptsUnenrolled: Bool
  /// Whether users of `only_groups` who are not enrolled pass today.
  let exemptsUnenrolledMembers: Bool
  let password: PasswordSource

  init(_ policy: borrowing Policy) {
    limits = policy.limits
    usesAddresses = policy.trustedNetworks.count > 0 || policy.gracePeriod > 0
    requiredMethods = Self.words(of: policy.requiredMethods)
    directory = String(decoding: policy.directory)
    isPostgreSQL = policy.isPostgreSQL
    owner = String(decoding: policy.owner)
    isShared = policy.isShared
    onlyGroups = Self.words(of: policy.onlyGroups)
    exemptGroups = Self.words(of: policy.exemptGroups)
    nullok = policy.passesUnenrolled
    let now = SystemClock.now
    let isRequired = policy.requiresEnrollment(now: now)
    enrollment = policy.enrollment == .no ? .no : isRequired ? .require : .offer
    enrollmentDay = policy.requiredFrom.flatMap { isRequired ? nil : Self.text($0) }
    enrollmentNetworks = Self.words(of: policy.enrollmentNetworks)
    admitsUnenrolled = policy.requiredFrom.map { CalendarDay(of: now) < $0 } ?? policy.passesUnenrolled
    exemptsUnenrolledMembers = admitsUnenrolled || enrollment != .no
    passesUnenrolled =
      policy.passesUnenrolled || enrollment != .no || policy.requiredFrom != nil || !onlyGroups.isEmpty
    exemptsUnenrolled = exemptsUnenrolledMembers || !onlyGroups.isEmpty
    password = policy.password
  }

  private static func text(_ day: CalendarDay) -> String {
    var text = ByteText(capacity: 15)
    day.append(to: &text)
    return String(decoding: text.bytes)
  }

  private static func words(of list: Span<UInt8>) -> [String] {
    var all: [String] = []
    var words = ListWords()
    while let word = words.next(in: list) { all.append(String(decoding: word)) }
    return all
  }
}

/// Parses options as logins do.
extension HostTree {
  func configuration(of rule: PAMRule) -> String {
    rule.arguments.last { $0.hasPrefix("conf=/") }.map { String($0.dropFirst("conf=".count)) } ?? HostSettings.path
  }

  /// Returns the defaults if the file cannot be read.
  func policy(in path: String) throws(PolicyProblem) -> Policy {
    var policy = Policy()
    let limit = PolicyFile.maximumLength
    guard let text = configurationBytes(of: path) ?? bytes(of: path, upTo: limit + 1) else { return policy }
    guard text.count <= limit else { throw PolicyProblem(inFile: "is too long") }
    if var bytes = SecretBuffer(capacity: text.count), bytes.append(text.span) {
      try policy.read(file: bytes)
      try policy.check()
    }
    return policy
  }

  /// Nil if an option is invalid, so that every login is refused.
  func options(of rule: PAMRule) -> EffectiveOptions? {
    do throws(PolicyProblem) {
      var policy = try policy(in: configuration(of: rule))
      for argument in rule.arguments { try policy.read(argument.utf8.span) }
      try policy.check()
      return EffectiveOptions(policy)
    } catch {
      return nil
    }
  }

  /// The options of a file alone; nil if one is invalid.
  func options(in path: String) -> EffectiveOptions? {
    do throws(PolicyProblem) {
      return EffectiveOptions(try policy(in: path))
    } catch {
      return nil
    }
  }

  func line(of option: PolicyOption, in path: String) -> Int? {
    let name = String(decoding: option.name.bytes)
    let lines = HostTree.lines(text(of: path) ?? "")
    let index = lines.firstIndex { line in
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return parts.count == 2 && parts[0].trimmingBlanks == name
    }
    return index.map { $0 + 1 }
  }

  /// Sets an option in the argument of the rule, if any, else in its configuration file.
  func edit(_ option: PolicyOption, _ value: String, of rule: PAMRule) -> String {
    for place in option.places {
      let isFlag = place.kind == .flag
      guard
        let index = rule.arguments.firstIndex(where: {
          $0.hasPrefix(place.word + "=") || isFlag && $0 == place.word
        }),
        place == option || line(of: option, in: configuration(of: rule)) == nil
      else { continue }
      var changed = rule
      let (option, value) = place.setting(option, value)
      changed.arguments[index] = "\(option.word)=\(value)"
      return Edit.replace(file: rule.file, line: rule.line, text: changed.text()).text
    }
    return edit(option, value, in: configuration(of: rule))
  }

  /// Sets an option in a configuration file.
  func edit(_ option: PolicyOption, _ value: String, in path: String) -> String {
    let place = option.places.first { line(of: $0, in: path) != nil } ?? option.places.last ?? option
    let (option, value) = place.setting(option, value)
    let text = "\(option.word) = \(value)"
    return line(of: place, in: path).map { Edit.replace(file: path, line: $0, text: text).text }
      ?? "in \(path): \(text)"
  }
}

extension PolicyOption {
  var word: String { String(decoding: name.bytes) }

  /// The options that set this one, the first with precedence.
  var places: [PolicyOption] { self == .directory ? [.directory, .store] : [self] }

  /// The value of `store` that selects a template.
  static func store(of template: String) -> String? {
    switch template {
    case "~/.twofactor": "home"
    case String(decoding: EnrollmentPath.hostTemplate.bytes): "host"
    case "": "postgresql"
    default: nil
    }
  }

  /// The setting of this option, one of the ``places`` of `option`, that gives `option` the value, if possible.
  fileprivate func setting(_ option: PolicyOption, _ value: String) -> (PolicyOption, String) {
    guard self == .store, let store = Self.store(of: value) else { return (option, value) }
    return (.store, store)
  }
}

extension PAMRule {
  /// Adds `require_method=publickey`, and removes `nullok`, with which the key alone would be enough.
  var requiringPublicKey: Edit {
    var changed = self
    changed.arguments = publicKeyArguments
    return .replace(file: file, line: line, text: changed.text())
  }

  var publicKeyArguments: [String] {
    arguments.filter { $0 != "nullok" && !$0.hasPrefix("nullok=") && !$0.hasPrefix("require_method=") }
      + ["require_method=publickey"]
  }
}

extension Substring {
  var trimmingBlanks: Substring {
    let start = drop { $0 == " " || $0 == "\t" }
    return start.lastIndex { $0 != " " && $0 != "\t" }.map { start[...$0] } ?? ""
  }
}
