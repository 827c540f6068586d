import CPAM
import Enrollment
import FixedMemory
import Glibc

/// Asks for the password of an account and has the host check it, by the PAM service `twofactor`.
///
/// It works without the rights of root where the service does: pam_unix asks unix_chkpwd(8), which tells
/// every user about their own password.
enum PasswordCheck {
  /// The name of the PAM service.
  static let service = "twofactor"

  private static let folders = ["/etc/pam.d", "/usr/lib/pam.d"]

  /// Returns when the password is right.
  ///
  /// - Throws: ``SetupError``: ``ExitStatus/refused`` for a wrong password, ``ExitStatus/configuration`` for
  ///   a host without the service; ``Interruption``.
  static func run(for account: UserAccount, at terminal: Terminal) throws {
    try requireService()
    let questions = PasswordQuestions(terminal: terminal)
    var conversation = unsafe pam_conv(conv: answer, appdata_ptr: Unmanaged.passUnretained(questions).toOpaque())
    var handle: OpaquePointer?
    var status = unsafe pam_start(service, account.nameText, &conversation, &handle)
    guard let handle = unsafe handle else {
      throw SetupError(.configuration, "PAM cannot be used: error \(status)")
    }
    defer { _ = unsafe pam_end(handle, status) }
    if status == PAM_SUCCESS { status = unsafe pam_authenticate(handle, 0) }
    if status == PAM_SUCCESS { status = unsafe pam_acct_mgmt(handle, 0) }
    if let failure = questions.failure { throw failure }
    guard status == PAM_SUCCESS else {
      throw unsafe error(status, words: String(cString: pam_strerror(handle, status)), account: account)
    }
  }

  /// Without this look libpam would take the service `other`, which denies everyone or, worse, no one.
  private static func requireService() throws {
    let files = folders.map { "\($0)/\(service)" }
    if files.contains(where: { unsafe access($0, R_OK) == 0 }) { return }
    if let closed = files.first(where: { unsafe access($0, F_OK) == 0 }) {
      throw SetupError(
        .configuration, "\(closed) cannot be read, so the password cannot be checked: \(SystemError.accessDenied.text)",
        hint: "the administrator can open it to everybody with: chmod 644 \(closed)")
    }
    throw SetupError(
      .configuration, "the PAM service \(service) is not installed, so the password cannot be checked",
      hint: "the administrator can install /etc/pam.d/\(service), or set require_password = no in "
        + "/etc/security/twofactor.conf")
  }

  private static func error(_ status: Int32, words: String, account: UserAccount) -> SetupError {
    switch status {
    case PAM_AUTH_ERR, PAM_USER_UNKNOWN, PAM_MAXTRIES, PAM_PERM_DENIED, PAM_CRED_INSUFFICIENT:
      SetupError(
        .refused, "wrong password",
        hint: account.userID == 0 ? "root is asked nothing with: --user root" : nil)
    case PAM_NEW_AUTHTOK_REQD, PAM_AUTHTOK_EXPIRED:
      SetupError(.refused, "the password has expired", hint: "set a new one with: passwd")
    case PAM_ACCT_EXPIRED: SetupError(.refused, "the account has expired")
    default:
      SetupError(
        .configuration, "the password could not be checked: \(words)",
        hint: "the administrator can look at /etc/pam.d/\(service) and the authentication log")
    }
  }

  /// The conversation function of pam_conv(3). The reply and its array are libpam's to free.
  private static let answer:
    @convention(c) (
      Int32, UnsafeMutablePointer<UnsafePointer<pam_message>?>?,
      UnsafeMutablePointer<UnsafeMutablePointer<pam_response>?>?, UnsafeMutableRawPointer?
    ) -> Int32 = { count, messages, replies, context in
      guard let messages = unsafe messages, let replies = unsafe replies, let context = unsafe context, count > 0,
        count <= PAM_MAX_NUM_MSG, let array = unsafe calloc(Int(count), MemoryLayout<pam_response>.size)
      else { return PAM_CONV_ERR }
      let questions = unsafe Unmanaged<PasswordQuestions>.fromOpaque(context).takeUnretainedValue()
      let responses = unsafe array.bindMemory(to: pam_response.self, capacity: Int(count))
      for index in 0..<Int(count) {
        guard let message = unsafe messages[index],
          unsafe questions.answer(message.pointee, into: &responses[index])
        else {
          for filled in 0..<Int(count) { unsafe wipe(responses[filled].resp) }
          unsafe free(array)
          return PAM_CONV_ERR
        }
      }
      unsafe replies.pointee = responses
      return PAM_SUCCESS
    }

  private static func wipe(_ reply: UnsafeMutablePointer<CChar>?) {
    guard let reply = unsafe reply else { return }
    unsafe explicit_bzero(reply, strlen(reply))
    unsafe free(reply)
  }
}

/// What the modules of the service ask, and what came of it. One password is asked for; a module that wants
/// more than that is not a check of the password.
private final class PasswordQuestions {
  private let terminal: Terminal
  private var isAnswered = false
  private(set) var failure: (any Error)?

  init(terminal: Terminal) {
    self.terminal = terminal
  }

  /// Answers one message of a module. False ends the conversation.
  func answer(_ message: pam_message, into response: inout pam_response) -> Bool {
    do {
      switch unsafe message.msg_style {
      case PAM_PROMPT_ECHO_OFF where !isAnswered:
        isAnswered = true
        let question = unsafe message.msg.map { unsafe String(cString: $0).printable } ?? ""
        let password = try terminal.ask(question.isEmpty ? "Password: " : question, echo: false)
        guard let copy = unsafe calloc(1, password.count + 1) else { return false }
        let text = unsafe copy.bindMemory(to: CChar.self, capacity: password.count + 1)
        for index in 0..<password.count { unsafe text[index] = CChar(bitPattern: password.bytes[index]) }
        unsafe response.resp = text
        return true
      case PAM_TEXT_INFO, PAM_ERROR_MSG:
        let text = unsafe message.msg.map { unsafe String(cString: $0).printable } ?? ""
        try OutputStream.standardError.write(text + "\n")
        return true
      default:
        return false
      }
    } catch {
      failure = error
      return false
    }
  }
}
