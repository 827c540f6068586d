import CPAM
import FixedMemory
import Glibc
import HostAccess

/// A PAM transaction with the command as the application. Authenticates and checks the account, but opens no session.
final class PAMTransaction {
  enum Prompts {
    /// Answers a single prompt, without echo. A second one ends the conversation.
    case password
    case all
    /// Replies like a program with a single password field: to each prompt without echo with the same text, to other
    /// prompts with the user's name.
    case singleField
  }

  struct Result {
    /// Whether pam_authenticate(3) succeeded.
    let isAuthenticated: Bool
    /// Of the last call.
    let status: Int32
  }

  private let terminal: Terminal
  private let prompts: Prompts
  private let user: String
  /// For ``Prompts/singleField``.
  private let reply: SecretBuffer?
  private var hasAnswered = false
  private var failure: (any Error)?

  private init(_ terminal: Terminal, _ prompts: Prompts, _ user: String, _ reply: consuming SecretBuffer?) {
    self.terminal = terminal
    self.prompts = prompts
    self.user = user
    self.reply = reply
  }

  /// First check that the service has a file: libpam falls back to `other`.
  static func run(
    service: String, for account: UserAccount, at terminal: Terminal, answering prompts: Prompts,
    with reply: consuming SecretBuffer? = nil
  ) throws -> Result {
    let transaction = PAMTransaction(terminal, prompts, account.nameText, reply)
    return try withExtendedLifetime(transaction) { try transaction.run(service, account) }
  }

  private func run(_ service: String, _ account: UserAccount) throws -> Result {
    // SAFETY: the caller keeps `self` alive until pam_end(3); libpam copies the conversation.
    var conversation = unsafe pam_conv(conv: Self.converse, appdata_ptr: Unmanaged.passUnretained(self).toOpaque())
    var handle: OpaquePointer?
    // SAFETY: pam_start(3) sets the handle or leaves it NULL; pam_end(3) is its last use.
    var status = unsafe pam_start(service, account.nameText, &conversation, &handle)
    guard let handle = unsafe handle else {
      throw SetupError(.configuration, "libpam failed: error \(status)")
    }
    defer { _ = unsafe pam_end(handle, status) }
    if prompts != .password, let name = unsafe ttyname(STDIN_FILENO) { _ = unsafe pam_set_item(handle, PAM_TTY, name) }
    if status == PAM_SUCCESS { status = unsafe pam_authenticate(handle, 0) }
    let isAuthenticated = status == PAM_SUCCESS
    if isAuthenticated { status = unsafe pam_acct_mgmt(handle, 0) }
    if let failure { throw failure }
    return Result(isAuthenticated: isAuthenticated, status: status)
  }

  static func text(of status: Int32) -> String {
    // SAFETY: Linux-PAM ignores the handle, and returns a string constant.
    unsafe pam_strerror(nil, status).map { unsafe String(cString: $0) } ?? "error \(status)"
  }

  /// pam_conv(3). libpam frees the replies and their array.
  private static let converse:
    @convention(c) (
      Int32, UnsafeMutablePointer<UnsafePointer<pam_message>?>?,
      UnsafeMutablePointer<UnsafeMutablePointer<pam_response>?>?, UnsafeMutableRawPointer?
    ) -> Int32 = { count, messages, replies, context in
      // SAFETY: libpam passes `count` messages, room for one pointer, and the context.
      guard let messages = unsafe messages, let replies = unsafe replies, let context = unsafe context, count > 0,
        count <= PAM_MAX_NUM_MSG, let array = unsafe calloc(Int(count), MemoryLayout<pam_response>.size)
      else { return PAM_CONV_ERR }
      let transaction = unsafe Unmanaged<PAMTransaction>.fromOpaque(context).takeUnretainedValue()
      let responses = unsafe array.bindMemory(to: pam_response.self, capacity: Int(count))
      for index in 0..<Int(count) {
        guard let message = unsafe messages[index],
          unsafe transaction.answer(message.pointee, into: &responses[index])
        else {
          for filled in 0..<index { unsafe wipe(responses[filled].resp) }
          unsafe free(array)
          return PAM_CONV_ERR
        }
      }
      unsafe replies.pointee = responses
      return PAM_SUCCESS
    }

  private static func wipe(_ reply: UnsafeMutablePointer<CChar>?) {
    // SAFETY: ``copy(_:)`` allocated the reply, NUL-terminated.
    guard let reply = unsafe reply else { return }
    unsafe explicit_bzero(reply, strlen(reply))
    unsafe free(reply)
  }

  /// Returns false to end the conversation.
  private func answer(_ message: pam_message, into response: inout pam_response) -> Bool {
    // SAFETY: a message has a C string or NULL.
    let text = unsafe message.msg.map { unsafe String(cString: $0).printable } ?? ""
    do {
      let style = unsafe message.msg_style
      switch style {
      case PAM_TEXT_INFO, PAM_ERROR_MSG: try (prompts == .password ? .standardError : terminal.page).write(text + "\n")
      // SAFETY: libpam owns the copies.
      case PAM_PROMPT_ECHO_OFF where prompts == .singleField: unsafe response.resp = unsafe try singleReply()
      case PAM_PROMPT_ECHO_ON where prompts == .singleField:
        unsafe response.resp = unsafe try Self.copy(user.utf8.span)
      case PAM_PROMPT_ECHO_OFF where prompts == .all || !hasAnswered, PAM_PROMPT_ECHO_ON where prompts == .all:
        hasAnswered = true
        let question = text.isEmpty && prompts == .password ? "Password: " : text
        let line = try terminal.ask(question, echo: style == PAM_PROMPT_ECHO_ON)
        // SAFETY: libpam owns the copy.
        unsafe response.resp = unsafe try Self.copy(line.bytes)
      default: return false
      }
      return true
    } catch {
      failure = error
      return false
    }
  }

  private func singleReply() throws -> UnsafeMutablePointer<CChar>? {
    switch reply {
    // SAFETY: the caller frees the copy.
    case .some(let reply): unsafe try Self.copy(reply.bytes)
    case .none: nil
    }
  }

  /// Copies a reply into memory that libpam can free.
  private static func copy(_ bytes: Span<UInt8>) throws -> UnsafeMutablePointer<CChar> {
    // SAFETY: the last byte that calloc(3) allocates is the NUL.
    guard let memory = unsafe calloc(1, bytes.count + 1) else { throw SetupError(.inputOutput, "out of memory") }
    let text = unsafe memory.bindMemory(to: CChar.self, capacity: bytes.count + 1)
    for index in 0..<bytes.count { unsafe text[index] = CChar(truncatingIfNeeded: bytes[index]) }
    return unsafe text
  }
}
