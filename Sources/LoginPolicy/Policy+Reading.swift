internal import CSystem
internal import Enrollment
public import FixedMemory
internal import SystemFiles
internal import Verification

struct PolicyReading {
  /// A bit for each option that was set.
  fileprivate var seen: UInt32 = 0

  /// The current line; 0 for arguments.
  fileprivate var line: UInt32 = 0

  /// The last of `try_first_pass` and `use_first_pass` that was set, and its line.
  fileprivate var passOption = PolicyOption.useFirstPass
  fileprivate var passLine: UInt32 = 0
}

/// Parses the file, then the arguments, which override it. Unknown or ambiguous text is an error.
extension Policy {
  /// Parses lines `name = value`, comments that begin with `#`, and empty lines.
  public mutating func read(file text: borrowing SecretBuffer) throws(PolicyProblem) {
    reading.seen = 0
    reading.line = 0
    try read(lines: text.bytes)
    reading.seen = 0
    reading.line = 0
  }

  private mutating func read(lines text: Span<UInt8>) throws(PolicyProblem) {
    var lines = SettingLines()
    while let line = lines.next(in: text) {
      reading.line = lines.number
      try read(line: line)
    }
  }

  /// Parses `NAME` or `NAME=VALUE`.
  public mutating func read(_ argument: Span<UInt8>) throws(PolicyProblem) {
    let equals = argument.firstIndex(of: UInt8(ascii: "="))
    let option = try option(argument.slice(from: 0, to: equals ?? argument.count), word: argument)
    guard option.place != .file else { throw problem("belongs in twofactor.conf", argument) }
    guard let equals else {
      guard option.kind == .flag else { throw problem("needs a value", argument) }
      set(option, flag: true)
      return
    }
    try read(option, argument.slice(from: equals &+ 1), word: argument)
  }

  /// Rejects contradictions. Call it last.
  public func check() throws(PolicyProblem) {
    if password.isTriedFirst, password.isUsedAlone {
      let isUse = reading.passOption == .useFirstPass
      throw PolicyProblem(
        isUse ? "contradicts try_first_pass" : "contradicts use_first_pass", reading.passOption.name.bytes,
        line: reading.passLine)
    }
    if !owner.isEmpty, isPostgreSQL {
      throw PolicyProblem("contradicts store=postgresql", PolicyOption.owner.name.bytes, line: ownerPlace.line)
    }
    if !owner.isEmpty, isHostStore {
      throw PolicyProblem(
        "contradicts the host store, which belongs to the users", PolicyOption.owner.name.bytes, line: ownerPlace.line)
    }
  }

  private mutating func read(line text: Span<UInt8>) throws(PolicyProblem) {
    guard let line = try SettingLine(text, number: reading.line) else { return }
    let option = try option(line.name, word: line.name)
    guard option.place != .arguments else { throw line.problem("is an argument of the module") }
    try read(option, line.value { PolicyOption.named($0) != nil }, word: line.name)
  }

  private mutating func option(_ name: Span<UInt8>, word: Span<UInt8>) throws(PolicyProblem) -> PolicyOption {
    guard let option = PolicyOption.named(name) else { throw problem("there is no such option", word) }
    let bit: UInt32 = 1 &<< UInt32(option.rawValue)
    guard reading.seen & bit == 0 else { throw problem("was given before", word) }
    reading.seen |= bit
    return option
  }

  private mutating func read(
    _ option: PolicyOption, _ value: Span<UInt8>, word: Span<UInt8>
  ) throws(PolicyProblem) {
    guard !value.hasControlCharacters else { throw problem("has control characters", word) }
    switch option.kind {
    case .flag:
      let isYes = value.isEqual(to: "yes")
      guard isYes || value.isEqual(to: "no") else { throw problem("is neither yes nor no", word) }
      set(option, flag: isYes)
    case .number(let range):
      guard let number = value.decimal(upTo: range.upperBound), number >= range.lowerBound else {
        throw problem(option.rangeProblem, word)
      }
      set(option, number: number)
    case .text(let lengths):
      guard lengths.contains(value.count) else { throw problem("is too short or too long", word) }
      try set(option, text: value)
    case .label(let lengths):
      guard lengths.contains(value.count), value.firstIndex(of: UInt8(ascii: ":")) == nil else {
        throw problem("is too short, too long, or has a colon", word)
      }
      try set(option, text: value)
    case .store:
      store = value.isEqual(to: "host") ? .host : value.isEqual(to: "postgresql") ? .postgresql : .home
      guard store != .home || value.isEqual(to: "home") else {
        throw problem("is not home, host or postgresql", word)
      }
    case .enrollment:
      let isOffered = value.isEqual(to: "offer")
      enrollment = isOffered ? .offer : value.isEqual(to: "require") ? .require : .no
      guard enrollment != .no || value.isEqual(to: "no") else { throw problem("is not no, offer or require", word) }
    case .directory:
      guard value.count < 512, try isTemplate(value) else {
        throw problem("is not a path that is absolute or begins with ~/ or %h/", word)
      }
      try set(option, text: value)
    case .file:
      guard value.byte(at: 0) == UInt8(ascii: "/"), value.count > 1, value.count < 256 else {
        throw problem("is not an absolute path", word)
      }
      try set(option, text: value)
    case .networks:
      guard value.count < 1024, ListWords.all(in: value, { Network($0) != nil }) else {
        throw problem("is not a list of networks such as 192.0.2.0/24,2001:db8::/32", word)
      }
      try set(option, text: value)
    case .words:
      guard value.count < 1024, ListWords.all(in: value, { $0.count > 0 }) else {
        throw problem("is not a list of words with commas between them", word)
      }
      try set(option, text: value)
    case .day:
      guard let day = CalendarDay(value) else { throw problem("is not a day such as 2026-01-31", word) }
      requiredFrom = day
    }
  }

  private func isTemplate(_ value: Span<UInt8>) throws(PolicyProblem) -> Bool {
    do throws(EnrollmentFailure) {
      return try EnrollmentPath.isTemplate(value)
    } catch {
      throw PolicyProblem(inFile: "out of memory", error: .outOfMemory)
    }
  }

  private mutating func set(_ option: PolicyOption, flag: Bool) {
    if flag, option == .tryFirstPass || option == .useFirstPass {
      reading.passOption = option
      reading.passLine = reading.line
    }
    switch option {
    case .nullok: passesUnenrolled = flag
    case .shared: isShared = flag
    case .echoCode: echoesCode = flag
    case .tryFirstPass: password.isTriedFirst = flag
    case .useFirstPass: password.isUsedAlone = flag
    case .forwardPass: password.isForwarded = flag
    case .backupCodes: limits.acceptsBackupCodes = flag
    case .debug: isDebugging = flag
    case .requirePassword: requiresPassword = flag
    case .allowDisable: allowsDisabling = flag
    default: break
    }
  }

  private mutating func set(_ option: PolicyOption, number: UInt64) {
    switch option {
    case .window: limits.window = number
    case .lookAhead: limits.lookAhead = number
    case .maxFailures: limits.maximumFailures = UInt32(truncatingIfNeeded: number)
    case .gracePeriod: gracePeriod = Int64(truncatingIfNeeded: number)
    default: break
    }
  }

  private mutating func set(_ option: PolicyOption, text: Span<UInt8>) throws(PolicyProblem) {
    guard let place = texts.add(text, line: reading.line) else {
      throw PolicyProblem(inFile: "out of memory", error: .outOfMemory)
    }
    switch option {
    case .directory: directoryPlace = place
    case .owner: ownerPlace = place
    case .prompt: promptPlace = place
    case .trustedNetworks: trustedNetworksPlace = place
    case .onlyGroups: onlyGroupsPlace = place
    case .exemptGroups: exemptGroupsPlace = place
    case .skipAfter: skippedMethodsPlace = place
    case .requireMethod: requiredMethodsPlace = place
    case .enrollNetworks: enrollmentNetworksPlace = place
    case .issuer: issuerPlace = place
    case .notify: notifierPlace = place
    default: break
    }
  }

  /// A problem of `onlyGroups` or `exemptGroups` that a lookup of its groups found.
  public func problem(_ problem: Literal, of option: PolicyOption) -> PolicyProblem {
    let place = option == .exemptGroups ? exemptGroupsPlace : onlyGroupsPlace
    return PolicyProblem(problem, option.name.bytes, line: place.line)
  }

  private func problem(_ problem: Literal, _ word: Span<UInt8>) -> PolicyProblem {
    PolicyProblem(problem, word, line: reading.line)
  }
}
