import FixedMemory
import Testing
import Verification

@testable import LoginPolicy

@Suite struct PolicyTests {
  /// For each option: valid arguments and their effects, and invalid arguments.
  private static let table: [PolicyOption: (good: [(String, @Sendable (borrowing Policy) -> Bool)], bad: [String])] = [
    .nullok: (
      [
        ("nullok", { $0.passesUnenrolled }), ("nullok=yes", { $0.passesUnenrolled }),
        ("nullok=no", { !$0.passesUnenrolled }),
      ],
      ["nullok=", "nullok=1", "nullok=YES", "nullok ", "Nullok", "nullok=yes "]
    ),
    .directory: (
      ["~/.config/2fa", "%h/2fa", "/var/lib/twofactor/%u", "/a", "/100%%/%u-%U"].map { path in
        ("directory=\(path)", { $0.directory.string == path })
      },
      [
        "directory", "directory=", "directory=~", "directory=%h", "directory=~/", "directory=2fa",
        "directory=~root/2fa",
        "directory=/", "directory=//a", "directory=/a/", "directory=/a/../b", "directory=/a/./b", "directory=/a%",
        "directory=/a%x", "directory=/a\n", "directory=%u/a", "directory=/" + String(repeating: "x", count: 511),
      ]
    ),
    .store: (
      [
        ("store=home", { !$0.isHostStore && $0.directory.string == "~/.twofactor" }),
        ("store=host", { $0.isHostStore && $0.directory.string == "/var/lib/twofactor/users/%U" }),
      ],
      ["store", "store=", "store=HOST", "store=host ", "store=nfs"]
    ),
    .owner: (
      [("owner=freerad", { $0.owner.string == "freerad" })],
      ["owner", "owner=", "owner=a\nb", "owner=" + String(repeating: "x", count: 129)]
    ),
    .shared: ([("shared", { $0.isShared }), ("shared=no", { !$0.isShared })], ["shared=nfs", "shared="]),
    .prompt: (
      [
        ("prompt=Code: ", { $0.prompt.string == "Code: " }), ("prompt=x", { $0.prompt.string == "x" }),
        ("prompt==", { $0.prompt.string == "=" }), ("prompt=Ключ: ", { $0.prompt.string == "Ключ: " }),
        ("prompt=" + String(repeating: "x", count: 128), { $0.prompt.count == 128 }),
      ],
      ["prompt", "prompt=", "prompt=a\nb", "prompt=\u{1b}[2J", "prompt=" + String(repeating: "x", count: 129)]
    ),
    .echoCode: (
      [("echo_code", { $0.echoesCode }), ("echo_code=no", { !$0.echoesCode })], ["echo_code=on", "echo-code"]
    ),
    .window: (
      (0...10).map { window in ("window=\(window)", { $0.limits.window == UInt64(window) }) },
      ["window", "window=", "window=-1", "window=11", "window=01", "window=1 ", "window=0x1", "window=1.0"]
    ),
    .lookAhead: (
      [1, 10, 100].map { count in ("look_ahead=\(count)", { $0.limits.lookAhead == UInt64(count) }) },
      ["look_ahead", "look_ahead=0", "look_ahead=101"]
    ),
    .maxFailures: (
      [1, 5, 100].map { count in ("max_failures=\(count)", { $0.limits.maximumFailures == UInt32(count) }) },
      ["max_failures", "max_failures=0", "max_failures=101", "max_failures=99999999999999999999"]
    ),
    .backupCodes: (
      [("backup_codes=no", { !$0.limits.acceptsBackupCodes }), ("backup_codes=yes", { $0.limits.acceptsBackupCodes })],
      ["backup_codes=never"]
    ),
    .conf: ([("conf=/etc/other.conf", { _ in true })], ["conf", "conf=", "conf=other", "conf=/"]),
    .tryFirstPass: (
      [("try_first_pass", { $0.password.isTriedFirst }), ("try_first_pass=no", { !$0.password.isTriedFirst })],
      ["try_first_pass=1"]
    ),
    .useFirstPass: ([("use_first_pass", { $0.password.isUsedAlone })], ["use_first_pass=maybe"]),
    .forwardPass: ([("forward_pass", { $0.password.isForwarded })], ["forward_pass=1"]),
    .gracePeriod: (
      [0, 1, 3600, 2_592_000].map { count in ("grace_period=\(count)", { $0.gracePeriod == Int64(count) }) },
      ["grace_period", "grace_period=-1", "grace_period=2592001", "grace_period=1h"]
    ),
    .trustedNetworks: (
      ["192.0.2.1", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::1", "10.0.0.0/8, 192.168.0.0/16,fe80::/10"].map {
        list in ("trusted_networks=\(list)", { $0.trustedNetworks.string == list })
      },
      [
        "trusted_networks", "trusted_networks=", "trusted_networks=,", "trusted_networks=192.0.2.1,",
        "trusted_networks=localhost", "trusted_networks=192.0.2.1/33", "trusted_networks=192.0.2.1/24",
        "trusted_networks=::/129", "trusted_networks=fe80::1%eth0", "trusted_networks=192.0.2", "trusted_networks=1",
        "trusted_networks=192.0.2.1/", "trusted_networks=192.0.2.1/024", "trusted_networks=192.0.2.1,,192.0.2.2",
      ]
    ),
    .onlyGroups: (
      [("only_groups=wheel,1000", { $0.onlyGroups.string == "wheel,1000" })],
      ["only_groups", "only_groups=", "only_groups=,wheel", "only_groups=wheel,", "only_groups=a,,b"]
    ),
    .exemptGroups: (
      [("exempt_groups=backup", { $0.exemptGroups.string == "backup" })], ["exempt_groups", "exempt_groups="]
    ),
    .skipAfter: (
      [("skip_after=gssapi-with-mic,publickey", { $0.skippedMethods.string == "gssapi-with-mic,publickey" })],
      ["skip_after", "skip_after="]
    ),
    .requireMethod: (
      [("require_method=publickey, hostbased", { $0.requiredMethods.string == "publickey, hostbased" })],
      ["require_method", "require_method=", "require_method=publickey,"]
    ),
    .requiredFrom: (
      [
        ("required_from=1970-01-01", { $0.requiredFrom?.rawValue == 0 }),
        ("required_from=2024-02-29", { $0.requiredFrom?.rawValue == 19_782 }),
        ("required_from=9999-12-31", { $0.requiredFrom?.rawValue == 2_932_896 }),
      ],
      [
        "required_from", "required_from=", "required_from=2026-1-1", "required_from=2026-02-29",
        "required_from=2100-02-29", "required_from=2026-13-01", "required_from=2026-00-01", "required_from=2026-04-31",
        "required_from=1969-12-31", "required_from=01-01-2026", "required_from=2026/01/01", "required_from=2026-01-01x",
      ]
    ),
    .enroll: (
      [
        ("enroll=no", { $0.enrollment == .no }), ("enroll=offer", { $0.enrollment == .offer }),
        ("enroll=require", { $0.enrollment == .require }),
      ],
      ["enroll", "enroll=", "enroll=yes", "enroll=Offer", "enroll=required", "enroll=no "]
    ),
    .enrollNetworks: (
      [("enroll_networks=192.0.2.0/24,::1", { $0.enrollmentNetworks.string == "192.0.2.0/24,::1" })],
      ["enroll_networks", "enroll_networks=", "enroll_networks=office", "enroll_networks=192.0.2.1/24"]
    ),
    .debug: ([("debug", { $0.isDebugging })], ["debug=2"]),
  ]

  private func policy(_ arguments: [String]) throws(PolicyProblem) -> Policy {
    var policy = Policy()
    for argument in arguments { try policy.read(Array(argument.utf8).span) }
    try policy.check()
    return policy
  }

  private func policy(file text: String) throws -> Policy {
    var policy = Policy()
    try policy.read(file: buffer(text))
    try policy.check()
    return policy
  }

  private func problem(_ arguments: [String]) -> PolicyProblem? {
    do throws(PolicyProblem) {
      _ = try policy(arguments)
      return nil
    } catch {
      return error
    }
  }

  /// For each option of the file alone: valid lines and their effects, and invalid lines.
  private static let fileTable:
    [PolicyOption: (good: [(String, @Sendable (borrowing Policy) -> Bool)], bad: [String])] = [
      .issuer: (
        [("issuer = Example Ltd", { $0.issuer.string == "Example Ltd" })],
        ["issuer", "issuer =", "issuer = a:b", "issuer = " + String(repeating: "x", count: 129)]
      ),
      .requirePassword: ([("require_password = no", { !$0.requiresPassword })], ["require_password = maybe"]),
      .allowDisable: ([("allow_disable=no", { !$0.allowsDisabling })], ["allow_disable"]),
      .notify: (
        [("notify = /usr/sbin/sendmail", { $0.notifier.string == "/usr/sbin/sendmail" })],
        ["notify = sendmail", "notify =", "notify = /"]
      ),
    ]

  @Test func everyOptionIsTested() {
    let options = (0..<PolicyOption.count).compactMap(PolicyOption.init(rawValue:))
    #expect(Set(options) == Set(Self.table.keys).union(Self.fileTable.keys))
    #expect(Set(Self.fileTable.keys) == Set(options.filter { $0.place == .file }))
    #expect(PolicyOption(rawValue: PolicyOption.count) == nil)
    #expect(Set(options.map { text($0.name) }).count == options.count)
  }

  @Test func everyOptionHasItsEffect() throws {
    for (option, rows) in Self.table {
      for (argument, holds) in rows.good {
        #expect(argument.hasPrefix(text(option.name)))
        #expect(try holds(policy([argument])), "\(argument)")
      }
    }
  }

  @Test func invalidArgumentsAreRejected() {
    for argument in Self.table.values.flatMap(\.bad) { #expect(problem([argument]) != nil, "\(argument)") }
    for argument in ["", "=", "=yes", "unknown", "unknown=1", "debug\u{0}", "sufficient", "null", "nullokay", "\u{ff}"]
    {
      #expect(problem([argument])?.problem.string == "there is no such option", "\(argument)")
    }
  }

  @Test func everyOptionExceptConfIsAllowedInTheFile() throws {
    for (option, rows) in Self.table where option.place == .anywhere {
      for (argument, holds) in rows.good {
        let line = argument.contains("=") ? argument.replacing("=", with: " = ", maxReplacements: 1) : argument + "=yes"
        // In the file, quotes keep the blank at the end of a value.
        let quoted = line.hasSuffix(" ") ? line.replacing("= ", with: "= \"", maxReplacements: 1) + "\"" : line
        #expect(try holds(policy(file: "# a comment\n\n\(quoted)\n")), "\(quoted)")
      }
      for argument in rows.bad where argument.contains("=") && !argument.contains("\n") && !argument.hasSuffix(" ") {
        #expect(throws: PolicyProblem.self, "\(argument)") { _ = try policy(file: argument) }
      }
    }
    #expect(throws: PolicyProblem.self) { _ = try policy(file: "conf = /etc/other.conf") }
  }

  @Test func optionsOfTheCommandAreAllowedOnlyInTheFile() throws {
    for rows in Self.fileTable.values {
      for (line, holds) in rows.good {
        #expect(try holds(policy(file: line)), "\(line)")
        #expect(problem([line.replacing(" = ", with: "=")])?.problem.string == "belongs in twofactor.conf")
      }
      for line in rows.bad { #expect(throws: PolicyProblem.self, "\(line)") { _ = try policy(file: line) } }
    }
  }

  @Test func argumentsOverrideTheFile() throws {
    var policy = Policy()
    try policy.read(file: buffer("window = 5\nnullok = yes\nmax_failures = 9\n"))
    try policy.read(Array("window=2".utf8).span)
    try policy.read(Array("nullok=no".utf8).span)
    try policy.check()
    let (limits, passes) = (policy.limits, policy.passesUnenrolled)
    #expect(limits.window == 2)
    #expect(!passes)
    #expect(limits.maximumFailures == 9)
  }

  @Test func contradictionsAreRejected() {
    #expect(problem(["try_first_pass", "use_first_pass"])?.problem.string == "contradicts try_first_pass")
    #expect(problem(["try_first_pass", "use_first_pass=no"]) == nil)
    #expect(throws: PolicyProblem.self) { _ = try policy(file: "try_first_pass = yes\nuse_first_pass = yes") }
  }

  @Test(
    arguments: [
      (
        "use_first_pass = yes\n\ntry_first_pass = yes", [], "/c, line 3, \"try_first_pass\": contradicts use_first_pass"
      ),
      (
        "debug = yes\ntry_first_pass = yes\nuse_first_pass = yes\nwindow = 2", ["debug"],
        "/c, line 3, \"use_first_pass\": contradicts try_first_pass"
      ),
      ("use_first_pass = yes", ["try_first_pass"], "argument \"try_first_pass\": contradicts use_first_pass"),
      ("", ["try_first_pass", "use_first_pass"], "argument \"use_first_pass\": contradicts try_first_pass"),
    ] as [(String, [String], String)])
  func aContradictionIsReportedAtItsLastLine(file: String, arguments: [String], expected: String) throws {
    var policy = Policy()
    try policy.read(file: buffer(file))
    for argument in arguments { try policy.read(Array(argument.utf8).span) }
    var description = ByteText(capacity: 199)
    do throws(PolicyProblem) {
      try policy.check()
    } catch {
      error.describe(into: &description, path: Array("/c".utf8).span)
    }
    #expect(description.string == expected)
  }

  @Test func anOptionThatAnArgumentTurnsOffContradictsNothing() throws {
    var policy = Policy()
    try policy.read(file: buffer("try_first_pass = yes"))
    for argument in ["use_first_pass", "try_first_pass=no"] { try policy.read(Array(argument.utf8).span) }
    try policy.check()
    let isUsedAlone = policy.password.isUsedAlone
    #expect(isUsedAlone)
  }

  @Test(
    arguments: [
      "window", "window 3", "= 3", "window = 3 # steps", "window = 3\nwindow = 3", "windows = 3", "window = 3\r",
      "window = 3\u{0}", "\u{feff}window = 3", "nullok = \"yes", "[module]", "window = 03",
    ])
  func anInvalidFileIsRejected(text: String) {
    #expect(throws: PolicyProblem.self) { _ = try policy(file: "debug = yes\n" + text) }
  }

  /// Text that its writer did not mean as a part of the value; see the problems for what was meant.
  @Test(
    arguments: [
      ("directory = ~/.twofactor   # comment", "has a comment after its value"),
      ("directory = ~/.twofactor\u{a0}# comment", "has a comment after its value"),
      ("nullok = yes # comment", "has a comment after its value"),
      ("nullok = yes\t# comment", "has a comment after its value"),
      ("only_groups = wheel #", "has a comment after its value"),
      ("prompt = Code #1", "has a comment after its value"),
      ("issuer = # none", "has a comment after its value"),
      ("issuer =#none", "has a comment after its value"),
      ("issuer = Example ; comment", "has a comment after its value"),
      ("directory = ~/.twofactor // comment", "has a comment after its value"),
      ("issuer = Example window = 2", "has another option after its value"),
      ("issuer = Example, window=2", "has another option after its value"),
      ("directory = ~/a nullok= yes", "has another option after its value"),
      ("prompt = \"Code: ", "has no closing quotation mark"), ("prompt = \"", "has no closing quotation mark"),
      ("prompt = \"Code: \" # comment", "has text after the closing quotation mark"),
      ("prompt = \"Code: \"x", "has text after the closing quotation mark"),
      ("issuer = \"A\" # \"B\"", "has text after the closing quotation mark"),
      ("only_groups = \"a\",\"b\"", "has text after the closing quotation mark"),
      ("prompt = Code: \"", "has a quotation mark that does not enclose the whole value"),
      ("directory = /var/lib/\"my users\"/%u", "has a quotation mark that does not enclose the whole value"),
      ("issuer = 'Example'", "is in single quotes: use double quotes"),
      ("only_groups = wheel, \\", "ends with a backslash, but a line cannot be continued"),
    ])
  func textThatIsNoPartOfTheValueIsRejected(line: String, problem expected: String) throws {
    do {
      _ = try policy(file: "# first\n\(line)\n")
      Issue.record("accepted")
    } catch let problem as PolicyProblem {
      var description = ByteText(capacity: 255)
      problem.describe(into: &description, path: Array("/c".utf8).span)
      let name = line.prefix { $0 != " " }
      #expect(description.string.hasPrefix("/c, line 2, \"\(name)\": \(expected)"))
    }
  }

  @Test(
    arguments: [
      ("issuer = Team#1", "Team#1"), ("issuer = a;b//c", "a;b//c"), ("issuer = \"A # B\"", "A # B"),
      ("issuer = \"A ; B // window = 2\"", "A ; B // window = 2"), ("issuer = \"# A\"", "# A"),
      ("issuer = \"'A'\"", "'A'"), ("issuer = 's-Hertogenbosch", "'s-Hertogenbosch"), ("issuer = a = b", "a = b"),
      ("issuer = \"A\\\"", "A\\"), ("issuer = \"  A  \"", "  A  "), ("issuer = O'Hara's", "O'Hara's"),
    ])
  func aQuotedValueMayContainAnything(line: String, issuer: String) throws {
    let policy = try policy(file: line)
    let text = policy.issuer.string
    #expect(text == issuer)
  }

  @Test func aProblemWithAGroupNamesThePlaceOfTheList() throws {
    var policy = Policy()
    try policy.read(file: buffer("nullok = yes\nonly_groups = a\nexempt_groups = b\n"))
    try policy.read(Array("exempt_groups=c".utf8).span)
    var descriptions: [String] = []
    for option in [PolicyOption.onlyGroups, .exemptGroups] {
      var description = ByteText(capacity: 255)
      policy.problem("there is no such group", of: option).describe(into: &description, path: Array("/c".utf8).span)
      descriptions.append(description.string)
    }
    #expect(
      descriptions == [
        "/c, line 2, \"only_groups\": there is no such group", "argument \"exempt_groups\": there is no such group",
      ])
  }

  @Test func theProblemNamesFileLineAndOption() throws {
    do {
      _ = try policy(file: "# first\ndebug = yes\nwindw = 3\n")
      Issue.record("accepted")
    } catch let problem as PolicyProblem {
      var description = ByteText(capacity: 199)
      problem.describe(into: &description, path: Array("/etc/x.conf".utf8).span)
      #expect(description.string == "/etc/x.conf, line 3, \"windw\": there is no such option")
    }
  }

  @Test func aListThatIsTooLongIsRejected() throws {
    let list = Array(repeating: "192.0.2.1", count: 102).joined(separator: ",")
    #expect(list.utf8.count == 1019)
    #expect(problem(["trusted_networks=\(list),::1"]) == nil)
    #expect(problem(["trusted_networks=\(list),::12"]) != nil)
  }

  @Test func theLongestTextsOfFileAndArgumentsFit() throws {
    let long = { (count: Int) in String(repeating: "x", count: count) }
    let values = [
      ("directory", "/" + long(510)), ("prompt", long(128)), ("only_groups", long(1023)), ("exempt_groups", long(1023)),
      ("skip_after", long(1023)), ("require_method", long(1023)),
      ("trusted_networks", "1.1.1.1,".appending(" ", until: 1014) + "192.0.2.1"),
    ]
    let alone = [("issuer", long(128)), ("notify", "/" + long(254))]
    var policy = Policy()
    try policy.read(file: buffer((values + alone).map { "\($0.0) = \"\($0.1)\"\n" }.joined()))
    for (name, value) in values + [("conf", "/" + long(254))] { try policy.read(Array("\(name)=\(value)".utf8).span) }
    try policy.check()
    let texts = [
      policy.directory.string, policy.prompt.string, policy.onlyGroups.string, policy.exemptGroups.string,
      policy.skippedMethods.string, policy.requiredMethods.string, policy.trustedNetworks.string,
    ]
    #expect(texts == values.map(\.1))
    let (issuer, notifier) = (policy.issuer.string, policy.notifier.string)
    #expect([issuer, notifier] == alone.map(\.1))
  }

  @Test func anOptionSetTwiceIsRejected() {
    for rows in Self.table.values {
      guard let argument = rows.good.first?.0 else { continue }
      #expect(problem([argument, argument])?.problem.string == "was given before")
    }
    #expect(problem(["nullok", "nullok=no"])?.problem.string == "was given before")
  }

  @Test func withoutArgumentsTheDefaultsApply() throws {
    let policy = try policy([])
    let (passes, echoes, debugs) = (policy.passesUnenrolled, policy.echoesCode, policy.isDebugging)
    #expect(!passes && !echoes && !debugs)
    let (directory, prompt, limits) = (policy.directory.string, policy.prompt.string, policy.limits)
    #expect(directory == "~/.twofactor")
    #expect(prompt == "")
    #expect(limits == VerificationLimits())
    #expect(limits.window == 1)
    #expect(limits.lookAhead == 10)
    #expect(limits.maximumFailures == 5)
    #expect(limits.acceptsBackupCodes)
  }

  @Test func theProblemNamesTheRange() {
    for option in Self.table.keys {
      guard case .number(let range) = option.kind else { continue }
      let problem = problem(["\(text(option.name))=\(range.upperBound + 1)"])
      #expect(problem?.problem.string == "is not a number from \(range.lowerBound) to \(range.upperBound)")
    }
  }

  @Test func theProblemNamesTheArgument() {
    var description = ByteText(capacity: 199)
    problem(["windows=3"])?.describe(into: &description, path: Array("".utf8).span)
    #expect(description.string == "argument \"windows=3\": there is no such option")
  }

  private func text(_ literal: Literal) -> String { literal.string }
}

extension String {
  /// The text, padded with a character to a length.
  fileprivate func appending(_ character: Character, until count: Int) -> String {
    self + String(repeating: character, count: Swift.max(count - self.count, 0))
  }
}

extension Literal {
  /// The text as a string.
  var string: String { String(decoding: (0..<byteCount).compactMap { byte(at: $0) }, as: UTF8.self) }
}
