import CPAM
import FixedMemory
import FuzzMachine
import Glibc
import PAMModule

/// Runs the account phase on the simulated machine. The input chooses the output of the enrollment program, the replies,
/// and the system calls that fail. The machine checks all texts that reach the application and the program.
///
/// Requirements: success only if the program reports an enrollment and the user is then enrolled; if the policy requires
/// an enrollment, a user who is proved not to be enrolled is refused; without authentication, nothing happens.
struct DialogueFuzzing {
  private static let now: Int64 = 1_700_000_000

  private var input: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { input = bytes[...] }

  private mutating func byte() -> UInt8 { input.popFirst() ?? 0 }

  private mutating func bytes(_ count: Int) -> [UInt8] {
    defer { input = input.dropFirst(count) }
    return Array(input.prefix(count))
  }

  consuming func run() {
    let host = Host(rawValue: byte())
    let policy = Policy(rawValue: byte())
    let how = byte()
    let programs = byte()
    let enrollment = byte()
    let faults = bytes(Int(byte()))
    var replies = (0..<Int(byte() & 15)).map { _ in readReply() }
    let output = Self.expanded(input)

    machine_start(Self.now)
    build(host)
    if host.contains(.isConfigured) {
      let text = Array((policy.arguments.joined(separator: "\n") + "\n").utf8)
      unsafe machine_put(MACHINE_CONFIGURATION, text, text.count)
    }
    unsafe machine_say(policy.remoteHost, nil, false)
    unsafe machine_call(
      host.contains(.isSilent) ? Int32(bitPattern: UInt32(PAM_SILENT)) : 0, Self.terminals[Int(how & 7) % 5]?.cString)
    machine_install(false, programs >> 4)
    machine_install(true, programs & 15)
    let arguments = (host.contains(.isConfigured) ? [] : policy.arguments) + (how & 0x80 == 0 ? [] : ["debug"])
    if host.contains(.authenticates), !host.contains(.isEnrolled) {
      _ = callModule(arguments) {
        unsafe authenticate(handle: OpaquePointer($0), flags: $1, argumentCount: $2, arguments: $3)
      }
    }
    unsafe machine_fail(faults, faults.count)
    let ending = machine_ending(rawValue: UInt32(how >> 3 & 3) % MACHINE_ENDINGS.rawValue)
    unsafe output.withUnsafeBufferPointer { output in
      unsafe machine_run(
        output.baseAddress, output.count, ending, enrollment & 0x80 == 0 ? -1 : Int32(enrollment & 0x7f))
      unsafe replies.withUnsafeMutableBufferPointer { replies in
        unsafe machine_reply(replies.baseAddress, replies.count)
        let status = callModule(arguments) {
          unsafe manageAccount(handle: OpaquePointer($0), flags: $1, argumentCount: $2, arguments: $3)
        }
        judge(status, host, policy, hasFaults: !faults.isEmpty)
      }
    }
    unsafe replies.forEach { unsafe free(UnsafeMutablePointer(mutating: $0.text)) }
  }

  /// The state of the host and of the transaction that an input selects.
  private struct Host: OptionSet {
    let rawValue: UInt8
    static let lacksAccount = Host(rawValue: 1)
    static let isEnrolled = Host(rawValue: 2)
    static let lacksMemory = Host(rawValue: 4)
    static let remembersAnother = Host(rawValue: 8)
    static let isSilent = Host(rawValue: 16)
    /// pam_sm_authenticate sets the memory.
    static let authenticates = Host(rawValue: 32)
    /// The policy is in the configuration instead of the arguments.
    static let isConfigured = Host(rawValue: 64)
    static let hasRegister = Host(rawValue: 128)
  }

  /// The options that an input selects.
  private struct Policy: OptionSet {
    let rawValue: UInt8
    static let requires = Policy(rawValue: 1)
    static let isOff = Policy(rawValue: 2)
    static let beganEarlier = Policy(rawValue: 4)
    static let beginsLater = Policy(rawValue: 8)
    static let hasNetworks = Policy(rawValue: 16)
    static let isElsewhere = Policy(rawValue: 32)
    static let isLocal = Policy(rawValue: 64)
    static let isExempt = Policy(rawValue: 128)

    var arguments: [String] {
      var arguments = contains(.isOff) ? [] : [contains(.requires) ? "enroll=require" : "enroll=offer"]
      if contains(.beganEarlier) {
        arguments.append("required_from=2023-01-01")
      } else if contains(.beginsLater) {
        arguments.append("required_from=2024-01-01")
      }
      if contains(.hasNetworks) { arguments.append("enroll_networks=198.51.100.0/24,192.0.2.0/24") }
      if contains(.isExempt) { arguments.append("only_groups=others") }
      return arguments
    }

    var remoteHost: String? { contains(.isLocal) ? nil : contains(.isElsewhere) ? "203.0.113.7" : "192.0.2.7" }

    var isRequired: Bool {
      guard !contains(.isOff) else { return false }
      return contains(.beganEarlier) || contains(.requires) && !contains(.beginsLater)
    }

    /// Whether `enroll_networks` includes the remote host.
    var isInNetworks: Bool { !contains(.hasNetworks) || isDisjoint(with: [.isElsewhere, .isLocal]) }
  }

  private static let terminals: [Literal?] = [nil, "", ":0", "/dev/pts/1", "ssh"]

  private func build(_ host: Host) {
    machine_put(MACHINE_ROOT, nil, 0)
    machine_put(MACHINE_HOME, nil, 0)
    if !host.contains(.lacksAccount) { machine_add_account() }
    if host.contains(.isEnrolled) { machine_put(MACHINE_DIRECTORY, nil, 0) }
    if host.contains(.hasRegister) {
      machine_put(MACHINE_STORE, nil, 0)
      machine_put(MACHINE_REGISTER, nil, 0)
    }
    if host.isDisjoint(with: [.lacksMemory, .authenticates]) {
      machine_remember(host.contains(.remembersAnother) ? 4711 : 1000)
    }
  }

  private mutating func readReply() -> machine_reply {
    let kind = machine_answer(rawValue: UInt32(byte()) % MACHINE_ANSWERS.rawValue)
    // SAFETY: strdup(3) copies the text; run() frees it.
    return unsafe machine_reply(kind: kind, text: strdup(String(decoding: bytes(Int(byte())), as: UTF8.self)))
  }

  /// The output of the program. In an input, 0xfe N means 64 N bytes.
  private static func expanded(_ input: ArraySlice<UInt8>) -> [UInt8] {
    var (output, rest) = ([UInt8](), input)
    while let byte = rest.popFirst() {
      if byte == 0xfe {
        output += [UInt8](repeating: UInt8(ascii: "x"), count: 64 * Int(rest.popFirst() ?? 0))
      } else {
        output.append(byte)
      }
    }
    return output
  }

  private func judge(_ status: Int32, _ host: Host, _ policy: Policy, hasFaults: Bool) {
    let line = unsafe String(cString: machine_log_line())
    let hasStarted = machine_has_started()
    let isRemembered = machine_has_remembered()
    if host.contains(.lacksMemory), !host.contains(.authenticates) {
      require(status == PAM_IGNORE && !machine_has_looked(), "a login without an authentication had an effect")
    }
    if hasStarted {
      require(!policy.contains(.isOff), "a program was started without the option")
      require(policy.isInNetworks, "a program was started outside the networks")
      require(!host.contains(.isEnrolled), "a program was started for an enrolled user")
      require(!policy.contains(.isExempt), "a program was started for an exempt user")
    }
    require(machine_errors() <= 1, "a login ended with several errors")
    if status == PAM_IGNORE || status == PAM_SUCCESS {
      require(machine_errors() == 0, "an accepted login has an error")
    }
    switch status {
    case PAM_SUCCESS:
      require(hasStarted && machine_has_declared(), "success without a report of the program")
      require(machine_is_enrolled(), "success without an enrollment")
      require(line.hasPrefix("accepted ") && line.hasSuffix(" method=enrolled"), "success with the log line \(line)")
    case PAM_IGNORE:
      require(line.isEmpty || line.contains(" method=exempt"), "a login was ignored with the log line \(line)")
      let isExempt = policy.contains(.isExempt)
      require(!isRemembered || !host.contains(.lacksAccount) || policy.contains(.isOff), "an unknown user passed")
      if policy.isRequired, isRemembered, machine_has_proved_absence(), !isExempt {
        fatalError("a user who must be enrolled passed without an enrollment")
      }
      if isRemembered, machine_is_enrolled(), !policy.contains(.isOff), !isExempt {
        fatalError("an enrolled user passed without a code")
      }
    case PAM_PERM_DENIED, PAM_SERVICE_ERR, PAM_AUTHINFO_UNAVAIL:
      require(line.hasPrefix("denied ") && line.contains(" reason="), "a denial with the log line \(line)")
      if status == PAM_PERM_DENIED {
        // The application may have authenticated several users; those who are not enrolled must enroll.
        require(isRemembered || !host.contains(.isEnrolled), "a user who was not authenticated was denied")
        require(policy.isRequired || machine_is_enrolled(), "a user who need not enroll was denied")
      } else {
        require(hasFaults || policy.contains(.isExempt), "status \(status) without a fault")
      }
      let isLoud = !host.contains(.isSilent) && !line.contains("out of memory")
      require(machine_errors() == 1 || hasFaults || !isLoud, "a denial without a message")
    case PAM_AUTH_ERR: require(line.hasSuffix(" reason=unknown-user"), "a denial with the log line \(line)")
    default: fatalError("unexpected status \(status)")
    }
  }
}
