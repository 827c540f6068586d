import CPAM
import Enrollment
import FixedMemory
import FuzzMachine
import Glibc
import OneTimePassword
import PAMModule

/// A whole login on the simulated machine, with system calls that fail as the input says; then a second login with the
/// same code after a power failure.
///
/// Requirements: success only with a right code and a flushed state; exemption only with `nullok` or outside
/// `only_groups`, and if the directory certainly does not exist and the register certainly does not name the user; and a
/// code is accepted once, except during a grace period. A login registers the user, so a home that is covered after it
/// exempts nobody. With `forward_pass`, an exempt login sets the password for later modules too, without a right code at
/// its end, which is then used up.
struct LoginFuzzing {
  private static let secret: [UInt8] = Array("12345678901234567890".utf8)
  private static let backupCode = "0123456789"
  private static let now: Int64 = 1_700_000_000

  private var input: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { input = bytes[...] }

  private mutating func byte() -> UInt8 { input.popFirst() ?? 0 }

  private mutating func bytes(_ count: Int) -> [UInt8] {
    defer { input = input.dropFirst(count) }
    return Array(input.prefix(count))
  }

  consuming func run() {
    let options = byte()
    let now = Self.now + Int64(byte()) - 128
    machine_start(now)
    if options & 1 == 0 { machine_add_account() }
    let faults = bytes(Int(byte()))
    unsafe machine_fail(faults, faults.count)

    let (answer, isWhole) = readAnswer(now)
    let isRight = isWhole && Self.right(now, window: 1).contains(Self.normal(answer))
    machine_put(MACHINE_HOME, nil, 0)
    if options & 2 == 0 { machine_put(MACHINE_DIRECTORY, nil, 0) }
    let isOwnCredential = options & 4 == 0
    let control = byte()
    let changes = bytes(Int(control & 7) * 4)
    let host = Host(rawValue: isOwnCredential ? byte() : 0)
    build(host)
    let isOnFUSE = mount(host)
    let origin = Origin(rawValue: isOwnCredential ? byte() : 0)
    var arguments = origin.arguments
    if host.contains(.onlyGroups) { arguments.append("only_groups=others") }
    let mayExempt = options & 8 != 0 || host.contains(.onlyGroups)
    let policy = Policy(rawValue: control >> 3)
    let remoteHost = policy.contains(.grace) || origin.contains(.trusts) ? origin.remoteHost : nil
    // SAFETY: literals are NUL-terminated and immortal.
    unsafe machine_report(origin.service.cString, origin.methods?.cString)
    if policy.contains(.grace) { arguments.append("grace_period=60") }
    if policy.contains(.triesFirst) { arguments.append("try_first_pass") }
    if policy.contains(.usesFirst) { arguments.append("use_first_pass") }
    if policy.contains(.forwards) { arguments.append("forward_pass") }
    if policy.contains(.oneFailure) { arguments.append("max_failures=1") }
    let hasPassword = policy.contains(.triesFirst) || policy.contains(.usesFirst)
    let password = Self.password + answer
    unsafe (password + [0]).withUnsafeBufferPointer { password in
      unsafe password.withMemoryRebound(to: CChar.self) { password in
        unsafe machine_say(remoteHost, hasPassword ? password.baseAddress : nil, policy.contains(.forwards))
      }
    }
    if options & 8 != 0 { arguments.append("nullok") }
    if options & 16 != 0 { arguments.append("backup_codes=no") }
    if options & 32 != 0 { arguments.append("debug") }
    if options & 128 != 0 {
      let configuration = Array("# comment\nwindow = 1\nprompt = \"Code: \"\n".utf8)
      unsafe machine_put(MACHINE_CONFIGURATION, configuration, configuration.count)
    }
    let isUnchanged = changes.isEmpty && isOwnCredential
    let credential = isOwnCredential ? Self.credential : Array(input)
    unsafe machine_put(MACHINE_CREDENTIAL, credential, credential.count)
    if options & 64 == 0 {
      let state = Self.state
      unsafe machine_put(MACHINE_STATE, state, state.count)
    }
    spoil(by: changes)

    let first = logIn(arguments)
    judge(first, mayExempt: mayExempt, host, origin)
    if origin.isRefused, faults.isEmpty, changes.isEmpty, !policy.contains([.triesFirst, .usesFirst]) {
      require(first == PAM_AUTH_ERR, "a login without the required method ended with status \(first)")
    }
    let right = Self.right(now, window: mayChangeWindow(changes) ? 10 : 1)
    let typed = hasPassword ? [password] : [isWhole ? answer : []]
    var wasAccepted = first == PAM_SUCCESS
    if policy.contains(.forwards), isOwnCredential, first == PAM_IGNORE {
      // If memory runs out, an earlier password is not copied: the user is prompted, or the password stays as it was.
      let mayLose = hasPassword && !faults.isEmpty
      let code = requireForwarded(mayLose ? typed + [answer, []] : typed, right, mayLose: mayLose)
      require(code.isEmpty || machine_has_flushed_state(), "a code was cut off a password, and not used up")
      wasAccepted = !code.isEmpty
      let isEnrolled = options & 0b101_0011 == 0 && !host.contains(.isLocked) && !isOnFUSE
      if faults.isEmpty, isUnchanged, isEnrolled, isWhole || hasPassword, right.contains(answer) {
        require(code == answer, "a right code was left in the password of an exempt user")
      }
    }
    if first == PAM_SUCCESS, isOwnCredential {
      // In a single field, any password may precede the code.
      let isInOneField = hasPassword || policy.contains(.forwards)
      let isGood = isInOneField ? Self.isAtEnd(of: answer, right) : isWhole && right.contains(Self.normal(answer))
      require(isGood, "the wrong reply \(answer) was accepted")
      if policy.contains(.forwards) { requireHandedOn(password: hasPassword ? password : answer, answer) }
    }
    if faults.isEmpty, isUnchanged, options & 0b101_0011 == 0, policy.isEmpty, isRight, !host.contains(.isLocked),
      origin.isEmpty, !isOnFUSE
    {
      require(first == PAM_SUCCESS, "a right code was denied with status \(first)")
    }
    if first == PAM_SUCCESS, faults.isEmpty, changes.isEmpty, host.contains(.hasRegister) {
      require(machine_has_registered(), "an accepted login did not register the user")
    }

    machine_fail(nil, 0)
    if host.contains(.covers) {
      machine_cover(true)
      judge(logIn(arguments), mayExempt: mayExempt, host, origin)
      machine_cover(false)
    }
    machine_lose_power()
    let second = logIn(arguments)
    judge(second, mayExempt: mayExempt, host, origin)
    let isGrace = unsafe policy.contains(.grace) && String(cString: machine_log_line()).hasSuffix(" method=grace")
    if policy.contains(.forwards), isOwnCredential, isGrace || second == PAM_IGNORE {
      let code = requireForwarded(typed, right, mayLose: false)
      require(code.isEmpty || !wasAccepted, "the code \(code) was cut off twice")
    }
    if first == PAM_SUCCESS { require(second != PAM_SUCCESS || isGrace, "a code was accepted twice") }
  }

  /// Options of the policy that an input selects.
  private struct Policy: OptionSet {
    let rawValue: UInt8
    static let grace = Policy(rawValue: 1)
    static let triesFirst = Policy(rawValue: 2)
    static let usesFirst = Policy(rawValue: 4)
    static let forwards = Policy(rawValue: 8)
    static let oneFailure = Policy(rawValue: 16)
  }

  /// The origin of the login, and the options that depend on it.
  private struct Origin: OptionSet {
    let rawValue: UInt8
    static let isSSH = Origin(rawValue: 1)
    static let reportsKey = Origin(rawValue: 2)
    static let requiresKey = Origin(rawValue: 4)
    static let skipsAfterKey = Origin(rawValue: 8)
    static let trusts = Origin(rawValue: 16)
    /// The service may report a host name.
    static let isLogin = Origin(rawValue: 32)
    static let isMapped = Origin(rawValue: 64)
    static let reportsPassword = Origin(rawValue: 128)

    var service: Literal { contains(.isSSH) ? "sshd" : contains(.isLogin) ? "login" : "service" }

    var methods: Literal? {
      switch (contains(.reportsPassword), contains(.reportsKey)) {
      case (true, true): "password\npublickey ssh-ed25519 AAAA\n"
      case (true, false): "password publickey\n"
      case (false, true): "publickey ssh-ed25519 AAAA\n"
      case (false, false): nil
      }
    }

    var remoteHost: String { contains(.isMapped) ? "::ffff:192.0.2.7" : "192.0.2.7" }

    var arguments: [String] {
      [
        (Origin.requiresKey, "require_method=publickey"), (.skipsAfterKey, "skip_after=publickey"),
        (.trusts, "trusted_networks=192.0.2.0/24"),
      ].filter { contains($0.0) }.map(\.1)
    }

    private var hasKey: Bool { contains(.isSSH) && contains(.reportsKey) }

    var isRefused: Bool { contains(.requiresKey) && !hasKey }

    var reportsName: Bool { contains(.isLogin) && !contains(.isSSH) }

    /// Whether the login needs no code, whoever the user is.
    var isExempt: Bool { !isRefused && (contains(.skipsAfterKey) && hasKey || contains(.trusts) && !reportsName) }
  }

  /// The state of the host that an input selects.
  private struct Host: OptionSet {
    let rawValue: UInt8
    static let hasRegister = Host(rawValue: 1)
    static let isRegistered = Host(rawValue: 2)
    /// The home is covered after the first login.
    static let covers = Host(rawValue: 4)
    static let isEncrypted = Host(rawValue: 8)
    static let lacksKey = Host(rawValue: 16)
    static let onlyGroups = Host(rawValue: 32)
    /// `/var/lib/twofactor` exists, also without a register.
    static let hasStore = Host(rawValue: 64)
    /// Another file system is mounted on the directory, or on a file in it.
    static let mounts = Host(rawValue: 128)

    /// The home is encrypted, and its key is absent.
    static let isLocked: Host = [.isEncrypted, .lacksKey]
  }

  private func build(_ host: Host) {
    machine_put(MACHINE_ROOT, nil, 0)
    if host.contains(.hasRegister) || host.contains(.hasStore) { machine_put(MACHINE_STORE, nil, 0) }
    if host.contains(.hasRegister) { machine_put(MACHINE_REGISTER, nil, 0) }
    if host.contains([.hasRegister, .isRegistered]) { machine_put(MACHINE_ENTRY, nil, 0) }
    if host.contains(.isEncrypted) { machine_encrypt(!host.contains(.lacksKey)) }
  }

  /// Mounts what the input says. Returns whether it is a FUSE file system, which every login must refuse.
  private mutating func mount(_ host: Host) -> Bool {
    guard host.contains(.mounts) else { return false }
    let choice = byte()
    machine_mount([MACHINE_DIRECTORY, MACHINE_CREDENTIAL, MACHINE_STATE][Int(choice % 3)], choice & 0x80 != 0)
    return choice & 0x80 != 0
  }

  private static let password = Array("hunter2 ".utf8)

  /// Whether a text ends with one of the codes.
  private static func isAtEnd(of text: [UInt8], _ codes: [[UInt8]]) -> Bool {
    let digits = normal(text)
    return codes.contains { digits.suffix($0.count) == $0[...] }
  }

  /// Whether the changes may have enlarged the window in the configuration, to 10 time steps at most.
  private func mayChangeWindow(_ changes: [UInt8]) -> Bool {
    stride(from: 0, to: changes.count - 3, by: 4).contains { start in
      changes[start] & 0x80 == 0 && UInt32(changes[start]) % MACHINE_NODES.rawValue == MACHINE_CONFIGURATION.rawValue
    }
  }

  /// Requires that one of the typed texts was set for later modules, or what precedes a right code. Returns that code.
  /// With `mayLose`, nothing may be set.
  private func requireForwarded(_ typed: [[UInt8]], _ right: [[UInt8]], mayLose: Bool) -> [UInt8] {
    guard let handed = unsafe machine_handed_on() else {
      require(mayLose, "an exempt user's password was not set for later modules")
      return []
    }
    let rest = unsafe UnsafeRawBufferPointer(start: handed, count: strlen(handed)).map { $0 }
    let ends = typed.filter { $0.starts(with: rest) }.map { Array($0.dropFirst(rest.count)) }
    guard let code = ends.first(where: \.isEmpty) ?? ends.first(where: { right.contains(Self.normal($0)) }) else {
      fatalError("an exempt user's password for later modules is \(rest)")
    }
    return code
  }

  /// Requires that the password without its six-digit code was set for later modules, or nothing if the code was typed
  /// after the earlier password had been tried.
  private func requireHandedOn(password: [UInt8], _ answer: [UInt8]) {
    let line = unsafe String(cString: machine_log_line())
    guard answer.count == 6, !line.hasSuffix(" method=grace") else { return }
    guard let handed = unsafe machine_handed_on() else { fatalError("no password was set for later modules") }
    let rest = unsafe Array(String(cString: handed).utf8)
    require(rest == Array(password.dropLast(6)) || rest.isEmpty, "the password for later modules is \(rest)")
  }

  /// The reply of the application, and whether it is returned without an error.
  private mutating func readAnswer(_ now: Int64) -> (text: [UInt8], isWhole: Bool) {
    let choice = byte()
    let kind = machine_answer(rawValue: UInt32(choice & 7) % MACHINE_ANSWERS.rawValue)
    var text: [UInt8]
    switch choice >> 3 & 7 {
    case 0: text = bytes(Int(byte()))
    case 1: text = Self.code(now, steps: -1)
    case 2: text = Self.code(now, steps: 0)
    case 3: text = Self.code(now, steps: 1)
    case 4: text = Array(Self.backupCode.utf8)
    case 5: text = Self.code(now, steps: 2)
    case 6: text = Self.code(now, steps: -2)
    default: text = Array("01234-56789".utf8)
    }
    if let end = text.firstIndex(of: 0) { text = Array(text[..<end]) }
    unsafe machine_answer(kind, text, text.count)
    return (text, kind == MACHINE_TEXT)
  }

  /// The canonical form of a code.
  private static func normal(_ text: [UInt8]) -> [UInt8] {
    text.filter { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") && $0 != UInt8(ascii: "-") }
      .map { "oO".utf8.contains($0) ? UInt8(ascii: "0") : "iIlL".utf8.contains($0) ? UInt8(ascii: "1") : $0 }
  }

  /// The codes that are valid now.
  private static func right(_ now: Int64, window: Int64) -> [[UInt8]] {
    (-window...window).map { code(now, steps: $0) } + [Array(backupCode.utf8)]
  }

  private func spoil(by changes: [UInt8]) {
    for start in stride(from: 0, to: changes.count - 3, by: 4) {
      let node = machine_node(rawValue: UInt32(changes[start]) % MACHINE_NODES.rawValue)
      if changes[start] & 0x80 != 0 {
        machine_spoil(node, changes[start + 1])
      } else {
        machine_change(node, Int(changes[start + 1]) << 8 | Int(changes[start + 2]), changes[start + 3])
      }
    }
  }

  private func logIn(_ arguments: [String]) -> Int32 {
    callModule(arguments) {
      unsafe authenticate(handle: OpaquePointer($0), flags: $1, argumentCount: $2, arguments: $3)
    }
  }

  private func judge(_ status: Int32, mayExempt: Bool, _ host: Host, _ origin: Origin) {
    let line = unsafe String(cString: machine_log_line())
    if origin.isRefused {
      require(status != PAM_SUCCESS && status != PAM_IGNORE, "a login without the required method passed")
    }
    if origin.reportsName { require(!line.hasSuffix(" method=grace"), "a host name had a grace period") }
    switch status {
    case PAM_SUCCESS:
      require(machine_has_flushed_state(), "a login succeeded without a flushed state")
      require(line.hasPrefix("accepted "), "a login succeeded with the log line \(line)")
    case PAM_IGNORE:
      require(mayExempt || origin.isExempt, "an exemption without an option")
      // Outside the groups, an unusable home exempts a user whom the register does not name.
      let isProved = host.contains(.onlyGroups) ? machine_has_proved_unregistered() : machine_has_proved_absence()
      require(origin.isExempt || isProved, "an exemption without proof that the user is not enrolled")
      require(line.contains(" method=exempt"), "an exemption with the log line \(line)")
    case PAM_AUTH_ERR, PAM_MAXTRIES, PAM_AUTHINFO_UNAVAIL, PAM_CONV_ERR, PAM_SERVICE_ERR:
      require(line.hasPrefix("denied ") && line.contains(" reason="), "a denial with the log line \(line)")
    default: fatalError("unexpected status \(status)")
    }
  }

  private static func code(_ now: Int64, steps: Int64) -> [UInt8] {
    guard let secret = SharedSecret(secret.span, algorithm: .sha1),
      let code = secret.code(at: UInt64(now / 30 + steps), digits: .six)
    else { fatalError("no memory") }
    let digits = String(code)
    return Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8)
  }

  private static let generation = Generation(bytes: InlineArray(repeating: 7))

  private static let credential: [UInt8] = {
    guard var encoder = CredentialEncoder(generation: generation, enabledAt: 1),
      var hash = SecretBuffer(capacity: 129),
      BackupCodeHash.make(Array(backupCode.utf8).span, setting: Array("$y$j9T$salt$".utf8).span, into: &hash)
    else { fatalError("no memory") }
    encoder.addDevice(
      kind: .totp(period: 30), algorithm: .sha1, digits: .six, enabledAt: 1, secret: secret.span,
      name: Array("phone".utf8).span)
    encoder.addBackupCode(hash.bytes)
    guard let text = encoder.finish() else { fatalError("no credential") }
    return array(text.bytes)
  }()

  /// The record of a state.
  static func record(of state: LoginState, sequence: UInt64) -> [UInt8] {
    guard var buffer = SecretBuffer(capacity: LoginState.recordLength),
      state.appendRecord(sequence: sequence, to: &buffer)
    else { fatalError("no memory") }
    return array(buffer.bytes)
  }

  private static let state: [UInt8] = {
    let empty = LoginState(generation: generation)
    return [UInt64(1), 2].flatMap { sequence in
      let record = record(of: empty, sequence: sequence)
      return record + record + Array(repeating: 0, count: 2048)
    }
  }()
}

/// Calls a function of the module on the simulated machine.
func callModule(
  _ arguments: [String],
  _ function:
    @convention(c) (
      UnsafeMutableRawPointer?, Int32, Int32, UnsafeMutablePointer<UnsafePointer<CChar>?>?
    ) -> Int32
) -> Int32 {
  let copies = unsafe arguments.map { unsafe strdup($0) }
  defer { unsafe copies.forEach { unsafe free($0) } }
  var pointers = unsafe copies.map { unsafe UnsafePointer($0) }
  return unsafe machine_log_in(function, Int32(arguments.count), &pointers)
}
