internal import CPAM
internal import CSystem
internal import FixedMemory
internal import SystemFiles

/// A PAM transaction (pam(3)). libpam owns the texts. They are valid until the next prompt, during which the
/// application may replace them.
@safe
struct PAMTransaction {
  private let handle: OpaquePointer

  /// PAM_MAX_RESP_SIZE.
  static var maximumAnswer: Int { 512 }

  /// PAM_SILENT: the application wants no messages.
  let isSilent: Bool

  /// `flags`: of the call to the module.
  init(handle: OpaquePointer, flags: Int32) {
    // SAFETY: the handle is valid for the call to the module.
    unsafe self.handle = handle
    isSilent = UInt32(bitPattern: flags) & UInt32(PAM_SILENT) != 0
  }

  /// Reads the user name, and prompts for it if unset (pam_get_user(3)). Returns false if there is none.
  func readUser(into text: inout ByteText) -> Bool {
    var name: UnsafePointer<CChar>?
    // SAFETY: libpam's string is NUL-terminated and outlives the copy.
    guard unsafe pam_get_user(handle, &name, nil) == PAM_SUCCESS, let name = unsafe name else { return false }
    text.removeAll()
    unsafe text.append(cString: name)
    return true
  }

  /// Does not prompt; empty if unset.
  var knownUser: Span<UInt8> {
    @_lifetime(borrow self)
    get { text(of: PAM_USER) }
  }

  /// Empty if unset.
  var remoteHost: Span<UInt8> {
    @_lifetime(borrow self)
    get { text(of: PAM_RHOST) }
  }

  var service: Span<UInt8> {
    @_lifetime(borrow self)
    get { text(of: PAM_SERVICE) }
  }

  /// PAM_TTY: a terminal, or a display, which begins with a colon; empty if unset.
  var terminal: Span<UInt8> {
    @_lifetime(borrow self)
    get { text(of: PAM_TTY) }
  }

  /// From the PAM environment, not the process's (pam_getenv(3)).
  @_lifetime(borrow self)
  func environment(_ name: Literal) -> Span<UInt8> {
    // SAFETY: libpam returns its own NUL-terminated string or NULL.
    unsafe span(of: UnsafePointer(pam_getenv(handle, name.cString)))
  }

  /// Delays a failure by roughly this time (pam_fail_delay(3)).
  func delayFailure(microseconds: UInt32) {
    // SAFETY: the handle is the only pointer.
    _ = unsafe pam_fail_delay(handle, microseconds)
  }

  /// PAM_AUTHTOK, from an earlier module; nil if unset or too long.
  func password(limit: Int) -> SecretBuffer? {
    let password = text(of: PAM_AUTHTOK)
    guard password.count > 0, var copy = SecretBuffer(capacity: limit), copy.append(password) else { return nil }
    return copy
  }

  /// Sets PAM_AUTHTOK. Returns false if libpam refuses.
  func setPassword(_ password: Span<UInt8>) -> Bool {
    guard var copy = SecretBuffer(capacity: password.count &+ 1), copy.append(password), copy.append(0) else {
      return false
    }
    // SAFETY: the item is NUL-terminated, and libpam copies it.
    return unsafe copy.withMemory { unsafe pam_set_item(handle, PAM_AUTHTOK, $0) } == PAM_SUCCESS
  }

  /// Remembers, until the transaction ends, that it authenticated a user who is not enrolled; nil to forget it. Returns
  /// false if out of memory, which forgetting needs none of.
  func remember(unenrolled user: UserID?) -> Bool {
    // SAFETY: the name is NUL-terminated and copied; the address is a number, which nothing accesses or frees.
    let number = unsafe user.flatMap { unsafe UnsafeMutableRawPointer(bitPattern: UInt($0.rawValue) &+ 1) }
    return unsafe pam_set_data(handle, Self.unenrolled.cString, number, nil) == PAM_SUCCESS
  }

  /// The remembered user; nil if there is none.
  var unenrolledUser: UserID? {
    var number: UnsafeRawPointer?
    // SAFETY: libpam sets the pointer to the remembered number, or leaves it.
    guard unsafe pam_get_data(handle, Self.unenrolled.cString, &number) == PAM_SUCCESS, let number = unsafe number
    else {
      return nil
    }
    return UserID(rawValue: UInt32(truncatingIfNeeded: UInt(bitPattern: number) &- 1))
  }

  private static var unenrolled: Literal { "pam_twofactor_unenrolled" }

  private func value(of item: Int32) -> UnsafeRawPointer? {
    var value: UnsafeRawPointer?
    // SAFETY: libpam sets the pointer to its own value, or leaves it.
    return unsafe pam_get_item(handle, item, &value) == PAM_SUCCESS ? value : nil
  }

  @_lifetime(borrow self)
  private func text(of item: Int32) -> Span<UInt8> {
    // SAFETY: the callers pass items that are NUL-terminated strings.
    unsafe span(of: value(of: item)?.assumingMemoryBound(to: CChar.self))
  }

  @_lifetime(borrow self)
  private func span(of text: UnsafePointer<CChar>?) -> Span<UInt8> {
    // SAFETY: the string is NUL-terminated, and libpam keeps it.
    let start = unsafe text.map { unsafe UnsafeRawPointer($0).assumingMemoryBound(to: UInt8.self) }
    let count = unsafe text.map { unsafe Int(strlen($0)) } ?? 0
    return unsafe _overrideLifetime(UnsafeBufferPointer(start: start, count: count).span, borrowing: self)
  }

  func log(_ priority: LogPriority, _ line: borrowing ByteText) {
    // SAFETY: the line is NUL-terminated and copied.
    unsafe line.withCString { unsafe cpam_syslog(handle, priority.rawValue, $0) }
  }

  enum ConversationFailure: Error {
    case failed

    case outOfMemory
  }

  /// Prompts the user. Truncates the reply to `limit` + 1 bytes. Not pam_get_authtok(3), which may return an earlier
  /// password, and keeps the code for later modules.
  func ask(_ prompt: borrowing ByteText, echoes: Bool, limit: Int) throws(ConversationFailure) -> SecretBuffer {
    guard prompt.hasMemory else { throw .outOfMemory }
    // SAFETY: the prompt is NUL-terminated.
    return try unsafe prompt.withCString { prompt throws(ConversationFailure) in
      try unsafe ask(prompt, echoes: echoes, limit: limit)
    }
  }

  /// `prompt` must be NUL-terminated.
  func ask(
    _ prompt: UnsafePointer<CChar>, echoes: Bool, limit: Int
  ) throws(ConversationFailure) -> SecretBuffer {
    guard var answer = SecretBuffer(capacity: limit &+ 1) else { throw .outOfMemory }
    // SAFETY: a response contains a NUL-terminated string or NULL, and is freed after the copy.
    var response: UnsafeMutablePointer<pam_response>?
    let status = unsafe converse(echoes ? PAM_PROMPT_ECHO_ON : PAM_PROMPT_ECHO_OFF, prompt, &response)
    if let text = unsafe response?.pointee.resp {
      _ = unsafe answer.append(Span(_unsafeBytes: UnsafeRawBufferPointer(start: text, count: strlen(text))))
    }
    unsafe free(response)
    guard status == PAM_SUCCESS else { throw .failed }
    return answer
  }

  /// Respects PAM_SILENT.
  func tell(_ text: borrowing ByteText, isError: Bool) {
    // SAFETY: the text is NUL-terminated.
    unsafe text.withCString { unsafe tell($0, isError: isError) }
  }

  /// `text` must be NUL-terminated.
  func tell(_ text: UnsafePointer<CChar>, isError: Bool) {
    guard !isSilent else { return }
    var response: UnsafeMutablePointer<pam_response>?
    // SAFETY: the response is freed at once.
    _ = unsafe converse(isError ? PAM_ERROR_MSG : PAM_TEXT_INFO, text, &response)
    unsafe free(response)
  }

  /// Wipes and frees a response, which the module owns whatever the status (pam_conv(3)).
  private func free(_ response: UnsafeMutablePointer<pam_response>?) {
    // SAFETY: the application allocated both with malloc(3); the string is NUL-terminated.
    guard let response = unsafe response else { return }
    if let text = unsafe response.pointee.resp {
      unsafe explicit_bzero(text, strlen(text))
      unsafe CSystem.free(text)
    }
    unsafe explicit_bzero(response, MemoryLayout<pam_response>.size)
    unsafe CSystem.free(response)
  }

  private func converse(
    _ style: Int32, _ text: UnsafePointer<CChar>, _ response: inout UnsafeMutablePointer<pam_response>?
  ) -> Int32 {
    // SAFETY: the item is libpam's pam_conv; the message and its text outlive the call.
    guard let conversation = unsafe value(of: PAM_CONV)?.assumingMemoryBound(to: pam_conv.self).pointee,
      let function = unsafe conversation.conv
    else { return PAM_CONV_ERR }
    var message = unsafe pam_message(msg_style: style, msg: text)
    return unsafe withUnsafePointer(to: &message) { message in
      var first: UnsafePointer<pam_message>? = unsafe message
      return unsafe function(1, &first, &response, conversation.appdata_ptr)
    }
  }
}

struct PAMStatus: RawRepresentable, Equatable, Sendable {
  let rawValue: Int32

  static var success: PAMStatus { PAMStatus(rawValue: PAM_SUCCESS) }
  static var ignore: PAMStatus { PAMStatus(rawValue: PAM_IGNORE) }
  static var authenticationError: PAMStatus { PAMStatus(rawValue: PAM_AUTH_ERR) }
  static var maximumTries: PAMStatus { PAMStatus(rawValue: PAM_MAXTRIES) }
  static var permissionDenied: PAMStatus { PAMStatus(rawValue: PAM_PERM_DENIED) }
  static var informationUnavailable: PAMStatus { PAMStatus(rawValue: PAM_AUTHINFO_UNAVAIL) }
  static var conversationError: PAMStatus { PAMStatus(rawValue: PAM_CONV_ERR) }
  static var serviceError: PAMStatus { PAMStatus(rawValue: PAM_SERVICE_ERR) }
}

struct LogPriority: RawRepresentable, Equatable {
  let rawValue: Int32

  static var error: LogPriority { LogPriority(rawValue: LOG_ERR) }
  static var notice: LogPriority { LogPriority(rawValue: LOG_NOTICE) }
  static var info: LogPriority { LogPriority(rawValue: LOG_INFO) }
  static var debug: LogPriority { LogPriority(rawValue: LOG_DEBUG) }
}
