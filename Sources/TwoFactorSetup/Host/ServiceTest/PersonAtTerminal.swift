import CPAM
import FixedMemory
import Glibc

/// The other side of a PAM conversation: whoever sits at the terminal is asked what the modules ask.
final class PersonAtTerminal {
  private let terminal: Terminal

  /// Why the conversation ended early; nil where it did not.
  private(set) var failure: (any Error)?

  init(_ terminal: Terminal) { self.terminal = terminal }

  /// The conversation function of pam_conv(3), whose context is a person. The replies are libpam's to free.
  static let answer:
    @convention(c) (
      Int32, UnsafeMutablePointer<UnsafePointer<pam_message>?>?,
      UnsafeMutablePointer<UnsafeMutablePointer<pam_response>?>?, UnsafeMutableRawPointer?
    ) -> Int32 = { count, messages, replies, context in
      guard let messages = unsafe messages, let replies = unsafe replies, let context = unsafe context, count > 0,
        count <= PAM_MAX_NUM_MSG, let array = unsafe calloc(Int(count), MemoryLayout<pam_response>.size)
      else { return PAM_CONV_ERR }
      let person = unsafe Unmanaged<PersonAtTerminal>.fromOpaque(context).takeUnretainedValue()
      let responses = unsafe array.bindMemory(to: pam_response.self, capacity: Int(count))
      for index in 0..<Int(count) {
        guard let message = unsafe messages[index], unsafe person.answer(message.pointee, into: &responses[index])
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
    guard let reply = unsafe reply else { return }
    unsafe explicit_bzero(reply, strlen(reply))
    unsafe free(reply)
  }

  /// Answers one message. False ends the conversation.
  private func answer(_ message: pam_message, into response: inout pam_response) -> Bool {
    let text = unsafe message.msg.map { unsafe String(cString: $0).printable } ?? ""
    do {
      switch unsafe message.msg_style {
      case PAM_PROMPT_ECHO_OFF: unsafe response.resp = unsafe try reply(text, echo: false)
      case PAM_PROMPT_ECHO_ON: unsafe response.resp = unsafe try reply(text, echo: true)
      case PAM_TEXT_INFO, PAM_ERROR_MSG: try terminal.page.write(text + "\n")
      default: return false
      }
      return true
    } catch {
      failure = error
      return false
    }
  }

  private func reply(_ question: String, echo: Bool) throws -> UnsafeMutablePointer<CChar>? {
    let line = try terminal.ask(question, echo: echo)
    guard let memory = unsafe calloc(1, line.count + 1) else {
      throw SetupError(.inputOutput, "out of memory")
    }
    let text = unsafe memory.bindMemory(to: CChar.self, capacity: line.count + 1)
    for index in 0..<line.count { unsafe text[index] = CChar(bitPattern: line.bytes[index]) }
    return unsafe text
  }
}
