internal import CSystem
internal import FixedMemory
internal import LoginPolicy
internal import SystemFiles

/// Enrollment at login: one call of pam_acct_mgmt(3), which applications make only after authentication succeeded.
///
/// The program `twofactor` enrolls the user, as the user; the module passes its text and questions on to the
/// conversation (`pam/enrollment-protocol.md`).
extension Login {
  /// Does nothing unless the transaction authenticated a user who is not enrolled.
  mutating func enroll() -> PAMStatus {
    guard let remembered = transaction.unenrolledUser else { return .ignore }
    var user = ByteText(capacity: 255)
    guard let outcome = outcomeOfEnrolling(&user, remembered) else { return .ignore }
    log(outcome, user)
    tell(outcome)
    // Some greeters replace errors by a text of their own; others show only errors.
    if let advice = outcome.advice { tell(advice) }
    return outcome.status
  }

  /// Returns nil for PAM_IGNORE without a log line.
  private mutating func outcomeOfEnrolling(_ user: inout ByteText, _ remembered: UserID) -> Outcome? {
    do throws(PolicyProblem) {
      let policy = try arguments.policy()
      guard policy.enrollment != .no else { return nil }
      user.append(transaction.knownUser)
      guard user.hasMemory else { return .denied(.outOfMemory) }
      var account = Account()
      switch account.find(named: user) {
      case .found: break
      case .unknown: return .denied(.unknownUser)
      case .failed(let error): return Self.accountFailure(error)
      }
      guard let outcome = outcomeOfEnrolling(account, remembered, policy) else { return nil }
      return registering(outcome, account, policy)
    } catch {
      return outcome(of: error)
    }
  }

  private mutating func outcomeOfEnrolling(
    _ account: borrowing Account, _ remembered: UserID, _ policy: borrowing Policy
  ) -> Outcome? {
    guard let before = outcomeBeforeQuestion(account, policy) else {
      // The application may have authenticated several users, as login(1) does after a wrong password.
      return account.userID == remembered ? .denied(.enrolledMeanwhile) : nil
    }
    guard case .unenrolled = before else { return before.isDenial ? before : nil }
    let isRequired = policy.requiresEnrollment(now: SystemClock.now)
    let end = isInEnrollmentNetwork(policy) ? runProgram(as: account) : .impossible("outside enroll_networks")
    // The files decide, whatever the program said.
    let after = outcomeBeforeQuestion(account, policy)
    switch (after, end) {
    case (nil, .enrolled): return .accepted(.enrolled)
    case (nil, _): return .denied(.enrolledMeanwhile)
    case (.unenrolled?, .declined): return isRequired ? .denied(.enrollmentDeclined) : nil
    case (.unenrolled?, .noConversation):
      words = ByteText("no conversation")
      if !isRequired { tell("Set up two-factor login with: twofactor enable") }
    case (.unenrolled?, .impossible(let why)):
      if words.count == 0 { words = ByteText(why) }
    case (.unenrolled?, .broken): words = ByteText("twofactor did not start, ended early or timed out")
    case (.unenrolled?, .enrolled): words = ByteText("twofactor enabled nothing")
    default: return after
    }
    return isRequired ? .denied(.enrollmentImpossible) : .enrollmentPostponed
  }

  private func tell(_ text: Literal) {
    // SAFETY: a literal is NUL-terminated.
    unsafe transaction.tell(text.cString, isError: false)
  }

  private func isInEnrollmentNetwork(_ policy: borrowing Policy) -> Bool {
    policy.enrollmentNetworks.count == 0 || isRemoteHost(in: policy.enrollmentNetworks)
  }

  private enum End {
    case enrolled
    case declined

    /// The conversation failed at the first question.
    case noConversation

    /// The program did not start, ended early, or timed out.
    case broken

    /// With the reason, which ``words`` overrides unless empty.
    case impossible(Literal)
  }

  private mutating func runProgram(as account: borrowing Account) -> End {
    let isRoot = UserID.effective == .root
    guard isRoot || account.userID == .effective && account.userID.rawValue == getuid() else {
      return .impossible("the application does not run as root")
    }
    var path: Literal = "/usr/bin/twofactor"
    if !TrustRule.isProgramOfRoot(path) { path = "/usr/local/bin/twofactor" }
    guard TrustRule.isProgramOfRoot(path) else { return .impossible("twofactor is missing, or others can change it") }
    var dialogue = csystem_dialogue()
    let (user, group) = (account.userID.rawValue, account.groupID.rawValue)
    // SAFETY: the name is NUL-terminated and outlives the call.
    let hasStarted = unsafe account.name.withCString { name in
      var account = unsafe csystem_account(name: isRoot ? name : nil, user: user, group: group)
      return unsafe arguments.start(&dialogue, path, &account, form: form)
    }
    guard hasStarted else { return .impossible("twofactor cannot be started") }
    let end = converse(with: dialogue)
    let isBroken = if case .broken = end { true } else { false }
    // Without its connection, the program ends at once, unless it is writing.
    let error = unsafe csystem_end_dialogue(&dialogue, isBroken ? 1000 : 10_000)
    return error == 0 || isBroken ? end : .impossible("twofactor did not end")
  }

  /// In bytes.
  private static var longestLine: Int { 8192 }

  /// An enrollment takes about 30.
  private static var mostLines: Int { 1000 }

  /// How the program may address the user (`pam/enrollment-protocol.md`). Applications without a terminal may log
  /// messages, as Cockpit does.
  private var form: Literal {
    let terminal = transaction.terminal
    guard terminal.count > 0, !terminal.starts(with: ":") else { return "plain" }
    return transaction.isSilent ? "questions" : "messages"
  }

  private mutating func converse(with dialogue: csystem_dialogue) -> End {
    guard var line = SecretBuffer(capacity: Self.longestLine), var text = SecretBuffer(capacity: Self.longestLine)
    else {
      return .impossible("out of memory")
    }
    var hasAnswer = false
    var lines = Counter(to: Self.mostLines)
    while lines.next() != nil {
      guard Self.readLine(dialogue, into: &line) else { return .broken }
      if line.bytes.isEqual(to: "done enrolled") { return .enrolled }
      if line.bytes.isEqual(to: "done declined") { return .declined }
      let isVisible = line.bytes.starts(with: "ask-echo ")
      let isQuestion = isVisible || line.bytes.starts(with: "ask ")
      let start = isVisible ? 9 : isQuestion || line.bytes.starts(with: "say ") ? 4 : 12
      guard start < 12 || line.bytes.starts(with: "done failed "),
        Self.copy(line.bytes.slice(from: start), to: &text)
      else { return .impossible("twofactor sent an invalid line") }
      if start == 12 {
        words = ByteText(capacity: Outcome.wordsCapacity)
        words.append(text.bytes)
        return .impossible("")
      }
      if isQuestion {
        if let end = answer(text, echoes: isVisible, dialogue) {
          if case .noConversation = end, hasAnswer { return .declined }
          return end
        }
        hasAnswer = true
      } else {
        // SAFETY: a NUL follows the text.
        unsafe text.withMemory { unsafe transaction.tell($0.assumingMemoryBound(to: CChar.self), isError: false) }
      }
    }
    return .impossible("twofactor sent too many lines")
  }

  /// Returns false if the program ends, or no line arrives in 30 seconds.
  private static func readLine(_ dialogue: csystem_dialogue, into line: inout SecretBuffer) -> Bool {
    var dialogue = dialogue
    line.removeAll()
    // SAFETY: the callee gets the size of the memory.
    return unsafe line.fill { memory in
      let start = unsafe memory.baseAddress?.assumingMemoryBound(to: UInt8.self)
      return unsafe Int(csystem_read_line(&dialogue, start, memory.count, 30_000))
    } >= 0
  }

  /// Copies the text of a line, with line feeds for tabs. Returns false if the text is empty, or contains other control
  /// characters, which could control a terminal.
  private static func copy(_ text: Span<UInt8>, to buffer: inout SecretBuffer) -> Bool {
    buffer.removeAll()
    var before: UInt8 = 0
    var indices = Counter(to: text.count)
    while let index = indices.next(), let byte = text.byte(at: index) {
      let isTab = byte == UInt8(ascii: "\t")
      // C1 is U+0080 to U+009F, in UTF-8 or as single bytes.
      let isControl = byte < 0x20 || byte == 0x7f || byte & 0xe0 == 0x80 && (before < 0x80 || before == 0xc2)
      guard isTab || !isControl, buffer.append(isTab ? UInt8(ascii: "\n") : byte) else { return false }
      before = byte
    }
    // The text is shorter than the line, so a NUL follows.
    return buffer.count > 0
  }

  /// Prompts the user, and sends the reply up to its first control character. Returns nil, or why the dialogue ends.
  private func answer(_ question: borrowing SecretBuffer, echoes: Bool, _ dialogue: csystem_dialogue) -> End? {
    // SAFETY: a NUL follows the question.
    unsafe question.withMemory { question in
      do throws(PAMTransaction.ConversationFailure) {
        let prompt = unsafe question.assumingMemoryBound(to: CChar.self)
        let reply = try unsafe transaction.ask(prompt, echoes: echoes, limit: PAMTransaction.maximumAnswer)
        return Self.send(reply, dialogue) ? nil : .impossible("out of memory")
      } catch {
        return .noConversation
      }
    }
  }

  /// Returns false if memory is short.
  private static func send(_ reply: borrowing SecretBuffer, _ dialogue: csystem_dialogue) -> Bool {
    var dialogue = dialogue
    var length = 0
    while let byte = reply.bytes.byte(at: length), byte >= 0x20, byte != 0x7f { length &+= 1 }
    guard var line = SecretBuffer(capacity: length &+ 1) else { return false }
    _ = line.append(reply.bytes.slice(from: 0, to: length))
    _ = line.append(UInt8(ascii: "\n"))
    // If this fails, the program has ended or reads nothing, and reading its next line tells.
    // SAFETY: the memory has as many bytes.
    _ = unsafe line.withMemory { memory in
      unsafe csystem_send_line(&dialogue, memory.assumingMemoryBound(to: UInt8.self), length &+ 1)
    }
    return true
  }
}
