import LoginPolicy

/// The values of each option, from the code that reads them.
extension PolicyOption {
  static var all: [PolicyOption] { (0..<count).compactMap(PolicyOption.init(rawValue:)) }

  var text: String { String(name.bytes) }

  /// The values that the option accepts, in words.
  var values: String {
    switch kind {
    case .flag: "`yes` or `no`"
    case .number(let range): "\(range.lowerBound) to \(range.upperBound)"
    case .text(let range): "\(range.lowerBound) to \(range.upperBound) bytes"
    case .label(let range): "\(range.lowerBound) to \(range.upperBound) bytes without colons"
    case .store: "`home`, `host` or `postgresql`"
    case .enrollment: "`no`, `offer` or `require`"
    case .directory: "path"
    case .file: "absolute path"
    case .networks: "networks, separated by commas"
    case .words:
      self == .skipAfter || self == .requireMethod ? "methods, separated by commas" : "groups, separated by commas"
    case .day: "day, as YYYY-MM-DD"
    }
  }

  /// The value of the option in a policy that sets nothing; nil if there is none.
  var defaultValue: String? {
    let policy = Policy()
    func yes(_ flag: Bool) -> String { flag ? "yes" : "no" }
    func text(_ bytes: Span<UInt8>) -> String? { bytes.isEmpty ? nil : String(bytes) }
    switch self {
    case .nullok: return yes(policy.passesUnenrolled)
    case .store: return policy.isHostStore ? "host" : "home"
    case .directory: return text(policy.directory)
    case .owner: return text(policy.owner) ?? "root"
    case .shared: return yes(policy.isShared)
    case .conf: return String(PolicyFile.usualPath.bytes)
    case .prompt: return text(policy.prompt) ?? "Verification code: "
    case .echoCode: return yes(policy.echoesCode)
    case .tryFirstPass: return yes(policy.password.isTriedFirst)
    case .useFirstPass: return yes(policy.password.isUsedAlone)
    case .forwardPass: return yes(policy.password.isForwarded)
    case .window: return "\(policy.limits.window)"
    case .lookAhead: return "\(policy.limits.lookAhead)"
    case .maxFailures: return "\(policy.limits.maximumFailures)"
    case .backupCodes: return yes(policy.limits.acceptsBackupCodes)
    case .gracePeriod: return "\(policy.gracePeriod)"
    case .trustedNetworks: return text(policy.trustedNetworks)
    case .onlyGroups: return text(policy.onlyGroups)
    case .exemptGroups: return text(policy.exemptGroups)
    case .skipAfter: return text(policy.skippedMethods)
    case .requireMethod: return text(policy.requiredMethods)
    case .requiredFrom: return policy.requiredFrom.map { "\($0.rawValue)" }
    case .enroll: return policy.enrollment == .no ? "no" : nil
    case .enrollNetworks: return text(policy.enrollmentNetworks)
    case .debug: return yes(policy.isDebugging)
    case .issuer: return text(policy.issuer)
    case .requirePassword: return yes(policy.requiresPassword)
    case .allowDisable: return yes(policy.allowsDisabling)
    case .notify: return text(policy.notifier)
    }
  }

  /// The default in Markdown.
  var defaultText: String {
    guard let value = defaultValue else {
      return self == .issuer ? "the host name" : self == .enrollNetworks ? "all networks" : "none"
    }
    switch kind {
    case .flag, .number: return value
    default: return "`\(value)`"
    }
  }
}

extension String {
  fileprivate init(_ bytes: Span<UInt8>) {
    self.init(decoding: bytes.indices.map { bytes[$0] }, as: UTF8.self)
  }
}
