internal import CPAM
internal import CSystem
internal import FixedMemory

/// The transaction of an application with libpam, as far as this module takes part in it.
@safe
struct PAMTransaction {
  private let handle: OpaquePointer

  /// The longest answer that is looked at, in bytes: PAM_MAX_RESP_SIZE of Linux-PAM.
  static var maximumAnswer: Int { 512 }

  /// Whether the application wants no messages (PAM_SILENT).
  let isSilent: Bool

  init(handle: OpaquePointer, isSilent: Bool) {
    unsafe self.handle = handle
    self.isSilent = isSilent
  }

  /// Finds out the name of the user, asked for where the application has not said it (pam_get_user(3)).
  ///
  /// - Parameter text: Where the name is put, as it is now.
  /// - Returns: False where it cannot be had.
  func readUser(into text: inout ByteText) -> Bool {
    var name: UnsafePointer<CChar>?
    guard unsafe pam_get_user(handle, &name, nil) == PAM_SUCCESS, let name = unsafe name else { return false }
    text.removeAll()
    unsafe text.append(cString: name)
    return true
  }

  /// The name of the user as it is set, without asking. Empty where it is not.
  ///
  /// It is libpam's own copy, as are the texts below: none outlives the next question, at which an application may
  /// set another one.
  var knownUser: Span<UInt8> {
    @_lifetime(borrow self)
    get { text(of: PAM_USER) }
  }

  /// Where the login comes from, as the application has it. Empty where it says nothing.
  var remoteHost: Span<UInt8> {
    @_lifetime(borrow self)
    get { text(of: PAM_RHOST) }
  }

  /// The name of the service.
  var service: Span<UInt8> {
    @_lifetime(borrow self)
    get { text(of: PAM_SERVICE) }
  }

  /// A variable of the PAM environment (pam_getenv(3)), which the application sets; not of the process's.
  @_lifetime(borrow self)
  func environment(_ name: Literal) -> Span<UInt8> {
    // SAFETY: libpam owns the string.
    unsafe span(of: UnsafePointer(pam_getenv(handle, name.cString)))
  }

  /// Asks libpam to answer a failure no sooner than about this (pam_fail_delay(3)).
  func delayFailure(microseconds: UInt32) { _ = unsafe pam_fail_delay(handle, microseconds) }

  /// The password that an earlier module asked for (PAM_AUTHTOK); nil where there is none, or it is too long.
  func password(limit: Int) -> SecretBuffer? {
    var value: UnsafeRawPointer?
    guard unsafe pam_get_item(handle, PAM_AUTHTOK, &value) == PAM_SUCCESS,
      let password = unsafe value?.assumingMemoryBound(to: CChar.self), var copy = SecretBuffer(capacity: limit)
    else { return nil }
    // SAFETY: the item is a string, which libpam owns.
    var index = 0
    while unsafe password[index] != 0 {
      guard unsafe copy.append(UInt8(bitPattern: password[index])) else { return nil }
      index &+= 1
    }
    return copy
  }

  /// Hands a password on to the modules that follow (PAM_AUTHTOK). False where libpam refuses.
  func setPassword(_ password: Span<UInt8>) -> Bool {
    guard var copy = SecretBuffer(capacity: password.count &+ 1), copy.append(password), copy.append(0) else {
      return false
    }
    return unsafe copy.withMemory { unsafe pam_set_item(handle, PAM_AUTHTOK, $0) } == PAM_SUCCESS
  }

  @_lifetime(borrow self)
  private func text(of item: Int32) -> Span<UInt8> {
    var value: UnsafeRawPointer?
    let status = unsafe pam_get_item(handle, item, &value)
    // SAFETY: these items are strings, which libpam owns.
    return unsafe span(of: status == PAM_SUCCESS ? value?.assumingMemoryBound(to: CChar.self) : nil)
  }

  /// The bytes of a NUL-terminated string of libpam's; none for nil.
  @_lifetime(borrow self)
  private func span(of text: UnsafePointer<CChar>?) -> Span<UInt8> {
    let start = unsafe text.map { unsafe UnsafeRawPointer($0).assumingMemoryBound(to: UInt8.self) }
    let count = unsafe text.map { unsafe Int(strlen($0)) } ?? 0
    return unsafe _overrideLifetime(UnsafeBufferPointer(start: start, count: count).span, borrowing: self)
  }

  /// Writes a line to the system's log under the module's name (pam_syslog(3)).
  func log(_ priority: LogPriority, _ line: borrowing ByteText) {
    unsafe line.withCString { unsafe cpam_syslog(handle, priority.rawValue, $0) }
  }

  /// Why a question has no answer.
  enum ConversationFailure: Error {
    /// The application cannot ask, or says that asking failed.
    case failed

    /// There is no memory for the answer.
    case outOfMemory
  }

  /// Asks the user for a code.
  ///
  /// The conversation is called directly: pam_get_authtok(3) would hand over an earlier password unasked, or keep
  /// the code for the modules that follow.
  ///
  /// - Parameters:
  ///   - prompt: What the user is asked with, NUL-terminated.
  ///   - echoes: Whether the answer is shown as it is typed.
  ///   - limit: One byte more than this is kept of an answer that is longer.
  /// - Returns: The answer; empty where there is none.
  /// - Throws: Why there is no answer.
  func ask(
    _ prompt: UnsafePointer<CChar>, echoes: Bool, limit: Int
  ) throws(ConversationFailure) -> SecretBuffer {
    guard var answer = SecretBuffer(capacity: limit &+ 1) else { throw .outOfMemory }
    var response: UnsafeMutablePointer<pam_response>?
    let status = unsafe converse(echoes ? PAM_PROMPT_ECHO_ON : PAM_PROMPT_ECHO_OFF, prompt, &response)
    guard let response = unsafe response else {
      guard status == PAM_SUCCESS else { throw .failed }
      return answer
    }
    // SAFETY: the answer and its array are the module's to free (pam_conv(3)), whatever the status.
    if let text = unsafe response.pointee.resp {
      let length = unsafe strlen(text)
      _ = unsafe answer.append(Span(_unsafeBytes: UnsafeRawBufferPointer(start: text, count: length)))
      unsafe explicit_bzero(text, length)
      unsafe free(text)
    }
    unsafe explicit_bzero(response, MemoryLayout<pam_response>.size)
    unsafe free(response)
    guard status == PAM_SUCCESS else { throw .failed }
    return answer
  }

  /// Tells the user something, unless the application wants no messages.
  func tell(_ text: borrowing ByteText, isError: Bool) {
    guard !isSilent else { return }
    var response: UnsafeMutablePointer<pam_response>?
    _ = unsafe text.withCString { text in
      unsafe converse(isError ? PAM_ERROR_MSG : PAM_TEXT_INFO, text, &response)
    }
    guard let response = unsafe response else { return }
    unsafe free(response.pointee.resp)
    unsafe free(response)
  }

  /// Sends one message through the application's conversation function (pam_conv(3)).
  private func converse(
    _ style: Int32, _ text: UnsafePointer<CChar>, _ response: inout UnsafeMutablePointer<pam_response>?
  ) -> Int32 {
    var item: UnsafeRawPointer?
    guard unsafe pam_get_item(handle, PAM_CONV, &item) == PAM_SUCCESS,
      let conversation = unsafe item?.assumingMemoryBound(to: pam_conv.self).pointee,
      let function = unsafe conversation.conv
    else { return PAM_CONV_ERR }
    var message = unsafe pam_message(msg_style: style, msg: text)
    return unsafe withUnsafePointer(to: &message) { message in
      var first: UnsafePointer<pam_message>? = unsafe message
      return unsafe function(1, &first, &response, conversation.appdata_ptr)
    }
  }
}

/// How much a line of the log matters (syslog(3)).
struct LogPriority: RawRepresentable, Equatable {
  let rawValue: Int32

  static var error: LogPriority { LogPriority(rawValue: LOG_ERR) }
  static var notice: LogPriority { LogPriority(rawValue: LOG_NOTICE) }
  static var info: LogPriority { LogPriority(rawValue: LOG_INFO) }
  static var debug: LogPriority { LogPriority(rawValue: LOG_DEBUG) }
}
