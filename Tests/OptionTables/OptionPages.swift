import LoginPolicy

/// The form of the options in each page.
enum OptionPages {
  private static let module = PolicyOption.all.filter { $0.place != .file }
  private static let command = PolicyOption.all.filter { $0.place == .file }
  private static let names = Set(PolicyOption.all.map(\.text))

  /// The lines of a generated block; nil if the page has no such block.
  static func lines(of block: String, in page: String) -> [String]? {
    switch (page, block) {
    case ("options.md", "module options"): table(module)
    case ("options.md", "command options"): table(command)
    case ("pam_twofactor.8", "module options"): module.flatMap { entry($0, argument($0)) }
    case ("twofactor.conf.5", "module options"): module.filter { $0.place != .arguments }.flatMap(shortEntry)
    case ("twofactor.conf.5", "command options"): command.flatMap { entry($0, "") }
    default: nil
    }
  }

  private static func table(_ options: [PolicyOption]) -> [String] {
    ["| option | value | default | meaning |", "|---|---|---|---|"]
      + options.map { "| `\($0.text)` | \($0.values) | \($0.defaultText) | \($0.summary) |" }
  }

  private static func entry(_ option: PolicyOption, _ argument: String) -> [String] {
    var text = option.summary
    switch option.kind {
    case .number, .text, .label: text += " The value is \(option.values)."
    default: break
    }
    if let details = option.details { text += " " + details }
    // Every flag that is not set means no.
    if option.kind != .flag || option.defaultValue != "no" { text += " The default is \(option.defaultText)." }
    return [".It Cm \(option.text)\(argument)"] + ManualText(text, options: names).lines
  }

  /// The value of an argument of the module, in mdoc(7); nothing for a flag that means yes when it is given.
  private static func argument(_ option: PolicyOption) -> String {
    guard let placeholder = option.placeholder else {
      return option.defaultValue == "yes" ? " Ns = Ns Cm yes Ns | Ns Cm no" : ""
    }
    let isList = placeholder.hasSuffix(",...")
    return " Ns = Ns Ar " + (isList ? "\(placeholder.dropLast(4)) , Ns Ar ..." : placeholder)
  }

  private static func shortEntry(_ option: PolicyOption) -> [String] {
    [".It Cm \(option.text)"] + ManualText("\(option.values); default: \(option.defaultText)", options: names).lines
  }

  /// The whole sample of `twofactor.conf`.
  static var sample: String {
    let sections: [(String, [PolicyOption])] = [
      (
        "Who is asked",
        [
          .nullok, .requiredFrom, .onlyGroups, .exemptGroups, .trustedNetworks, .skipAfter, .gracePeriod,
          .requireMethod, .enroll, .enrollNetworks,
        ]
      ),
      ("How users are asked", [.prompt, .echoCode, .tryFirstPass, .useFirstPass, .forwardPass]),
      ("Which codes are accepted", [.window, .lookAhead, .maxFailures, .backupCodes]),
      ("Files and log", [.store, .directory, .owner, .shared, .debug]),
      ("Options of the setup command", command),
    ]
    var text = """
      # Configuration of pam_twofactor for this host: /etc/security/twofactor.conf.
      #
      # Each line is `name = value`. A line that begins with # is a comment; a comment
      # after a value is an error. Below, the lines with # directly before a name show
      # the default, or an example if there is no default. A value may be enclosed in
      # double quotes, to keep blanks at its ends, or a # after a blank.
      #
      # Arguments of pam_twofactor.so in /etc/pam.d override this file. Only root may own
      # it and write to it. If an option is unknown, malformed, out of range, repeated or
      # contradicts another one, the module refuses every login, and the log names it.

      """
    for (title, options) in sections {
      text += "\n# \(title) " + String(repeating: "-", count: 80 - title.count) + "\n"
      for option in options { text += "\n" + sampleEntry(option).joined(separator: "\n") + "\n" }
    }
    return text
  }

  private static func sampleEntry(_ option: PolicyOption) -> [String] {
    var text = option.summary.filter { $0 != "*" }
    switch option.kind {
    case .number, .text, .label: text += " Value: \(option.values)."
    default: break
    }
    if option.defaultValue == nil {
      if option.defaultText != "none" { text += " Default: \(option.defaultText)." }
      text += " Example:"
    }
    let value = option.defaultValue ?? option.example ?? ""
    let quoted = value.hasSuffix(" ") ? "\"\(value)\"" : value
    let words = text.split(separator: " ").map(String.init)
    return wrapped(words, at: 82).map { "# " + $0 } + ["#\(option.text) = \(quoted)"]
  }
}
